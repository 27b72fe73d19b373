//! Settings that more than one adapter has: Sendmail's programs and files.

use crate::names;
use postrider_plugin_api::sdk::{Result, SettingKind, SettingSpec, Settings};

pub(crate) const SENDMAIL: &str = "/usr/sbin/sendmail";

pub(crate) fn sendmail_spec() -> SettingSpec {
    SettingSpec::new(
        "sendmail_command",
        SettingKind::Program,
        SENDMAIL,
        "The program of Sendmail that is asked in a check (sendmail -bt, sendmail -bv). Where it does not exist nothing \
         is asked.",
    )
}

pub(crate) fn cf_spec() -> SettingSpec {
    SettingSpec::new(
        "cf_file",
        SettingKind::Path,
        "/etc/mail/sendmail.cf",
        "The configuration file that Sendmail's daemon reads, made from mc_file by m4.",
    )
}

/// The value, or the default when it is empty.
///
/// # Errors
/// When the value cannot be written in Sendmail's configuration.
pub(crate) fn path(settings: &Settings, name: &str, default: &str) -> Result<String> {
    let value = match settings.value(name) {
        "" => default,
        value => value,
    };
    names::check_path(name, value)?;
    Ok(value.into())
}

/// Commands that tell the daemon to read its configuration again. Sendmail starts itself anew by the command
/// line in its pid file, which must have the program's whole path: it would end otherwise.
pub(crate) fn reload(sendmail: &str, cf_file: &str) -> String {
    format!(
        "pid_file=$({sendmail} -C {cf_file} -d0.10 -bt < /dev/null | sed -n 's/^ *Pid file:[[:space:]]*\\(.*\\) (selected)$/\\1/p')\n\
         if [ -s \"$pid_file\" ] && kill -0 \"$(sed -n 1p \"$pid_file\")\" 2> /dev/null; then\n\
         \x20   case $(sed -n 2p \"$pid_file\") in\n\
         \x20       /*) kill -HUP \"$(sed -n 1p \"$pid_file\")\" ;;\n\
         \x20       *) echo 'Sendmail was not started by its whole path: restart it yourself' >&2 ;;\n\
         \x20   esac\n\
         fi\n"
    )
}
