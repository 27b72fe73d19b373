//! Does a plugin's interface fit ours?
//!
//! This file stands on its own: `tests/abi/host` builds it into hosts of several versions of the interface.

use super::PluginError;
use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::library::{LibHeader, LibraryError, RootModule, RootModuleError};
use abi_stable::sabi_types::VersionNumber;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use postrider_plugin_api::abi::Plugin_Ref;
use std::path::Path;

/// Compares version and layout; returns the version of the plugin's interface.
pub(super) fn compare(file: &Path, header: &LibHeader) -> Result<String, PluginError> {
    let unreadable = |_| PluginError::Header {
        file: file.to_owned(),
        found: "has an interface version that is no version".to_owned(),
        expected: "three numbers".to_owned(),
    };
    let mine = VersionNumber::new(Plugin_Ref::VERSION_STRINGS).map_err(unreadable)?;
    let theirs = VersionNumber::new(header.version_strings()).map_err(unreadable)?;
    let found = theirs.to_string();
    if mine.major != theirs.major {
        return Err(PluginError::ApiVersion { file: file.to_owned(), found, expected: mine.to_string() });
    }
    let layout = header.layout().ok_or_else(|| PluginError::NoLayout { file: file.to_owned() })?;
    let plugin_is_older = (theirs.minor, theirs.patch) < (mine.minor, mine.patch);
    match fits(<Plugin_Ref as StableAbi>::LAYOUT, layout, plugin_is_older) {
        Ok(()) => Ok(found),
        Err(difference) => Err(PluginError::Layout { file: file.to_owned(), found, difference }),
    }
}

/// Whether plugin and host lay their types out alike.
///
/// `abi_stable`'s check is not symmetric: it asks whether the second type can stand where the first is
/// expected, and takes it amiss when the second has fewer fields. Versions of the interface are one
/// line of history, so the older one's types are always beginnings of the newer one's; the older one
/// goes first. Each comparison has globals of its own, since those of the process make the verdict
/// depend on which plugins were compared before.
fn fits(host: &'static TypeLayout, plugin: &'static TypeLayout, plugin_is_older: bool) -> Result<(), String> {
    let (older, newer) = if plugin_is_older { (plugin, host) } else { (host, plugin) };
    check_layout_compatibility_with_globals(older, newer, &CheckingGlobals::new()).map_err(|errors| first_of(&errors))
}

/// The first difference in one line; `abi_stable`'s own text has thousands.
fn first_of(errors: &AbiInstabilityErrors) -> String {
    let Some(error) = errors.errors.iter().find(|error| !error.errs.is_empty()) else {
        return "the layouts differ".to_owned();
    };
    // That a size differs follows from most other differences, which say more.
    let says_more =
        |difference: &&AbiInstability| !matches!(difference, AbiInstability::Size(_) | AbiInstability::Alignment(_));
    let difference = error.errs.iter().find(says_more).or_else(|| error.errs.first());
    let what = difference.map_or_else(String::new, one_line);
    let about_the_type_itself =
        !matches!(difference, Some(AbiInstability::Name(_) | AbiInstability::MismatchedPrimitive(_)));
    let place = place(error.stack_trace.iter().map(|step| &step.found), about_the_type_itself);
    if place.is_empty() { what } else { format!("{what} in {place}") }
}

/// Where the comparison was: the innermost of our types, and the way from there. What `abi_stable` has between
/// an object and its methods is left out.
fn place<'a>(found: impl ExactSizeIterator<Item = &'a TLFieldOrFunction>, about_the_type_itself: bool) -> String {
    let mut place: Vec<String> = Vec::new();
    let last = found.len().saturating_sub(1);
    for (number, step) in found.enumerate() {
        let (name, layout) = match step {
            TLFieldOrFunction::Field(field) => (field.name(), Some(field.layout())),
            TLFieldOrFunction::Function(function) => (function.name.as_str(), None),
        };
        let name = match name {
            "__returns" => "result".to_owned(),
            "obj" | "vtable" | "data" | "field_0" => String::new(),
            name if name.starts_with(|c: char| c.is_ascii_digit()) => String::new(),
            // abi_stable's name of the first parameter.
            name if name.ends_with(',') => "parameter 0".to_owned(),
            name => name.replace("param_", "parameter "),
        };
        if !name.is_empty() && place.last() != Some(&name) {
            place.push(name);
        }
        let ours = layout.filter(|layout| layout.package() == "postrider-plugin-api" && layout.name() != "VTable");
        if let Some(layout) = ours.filter(|_| place.is_empty() || about_the_type_itself || number < last) {
            place = vec![layout.name().trim_end_matches("_TO").to_owned()];
        }
    }
    place.join(", ")
}

fn one_line(difference: &AbiInstability) -> String {
    use AbiInstability as D;
    fn differ(what: &str, one: impl std::fmt::Display, other: impl std::fmt::Display) -> String {
        format!("{what} {one} and {other}").split_whitespace().collect::<Vec<_>>().join(" ")
    }
    match difference {
        D::Name(v) => differ("types", v.expected, v.found),
        D::Package(v) => differ("types of packages", v.expected, v.found),
        D::Size(v) => differ("sizes", v.expected, v.found),
        D::Alignment(v) => differ("alignments", v.expected, v.found),
        D::FieldCountMismatch(v) => differ("numbers of fields", v.expected, v.found),
        D::MismatchedPrefixSize(v) => differ("numbers of fields or methods of version 1.0", v.expected, v.found),
        D::MismatchedPrimitive(v) => format!("types {:?} and {:?}", v.expected, v.found),
        // A function's result and parameters are fields to abi_stable, with names of its own.
        D::UnexpectedField(v) if v.expected.name() == "__returns" || v.found.name() == "__returns" => {
            "other parameters".to_owned()
        }
        D::UnexpectedField(v) => differ("fields", v.expected.name(), v.found.name()),
        D::FnLifetimeMismatch(_) | D::FieldLifetimeMismatch(_) => "other lifetimes".to_owned(),
        D::FnQualifierMismatch(_) => "other function qualifiers".to_owned(),
        D::ExtraCheckError(_) => "other requirements (Send, Sync)".to_owned(),
        other => {
            let text = format!("{other:?}");
            text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}

pub(super) fn start(file: &Path, header: &LibHeader) -> Result<Plugin_Ref, PluginError> {
    // SAFETY: `compare` has found that the plugin's root type is laid out as ours.
    unsafe { header.init_root_module_with_unchecked_layout::<Plugin_Ref>() }.map_err(|error| {
        let reason = match error {
            LibraryError::RootModule { err: RootModuleError::Unwound, .. } => "it panicked".to_owned(),
            LibraryError::RootModule { err: RootModuleError::Returned(error), .. } => error.to_string(),
            other => other.to_string(),
        };
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        PluginError::Start { file: file.to_owned(), reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two versions of one interface, and one that broke the rules.
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod v1_0 {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: u32,
            #[sabi(last_prefix_field)]
            pub size: u64,
        }
    }
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod v1_1 {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: u32,
            #[sabi(last_prefix_field)]
            pub size: u64,
            pub license: u16,
        }
    }
    #[allow(dead_code, non_camel_case_types, clippy::pedantic)] // only the layouts of what abi_stable makes are used
    mod broken {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = Root_Ref, prefix_fields = Root_Prefix)))]
        #[sabi(missing_field(option))]
        pub struct Root {
            pub name: i64,
            #[sabi(last_prefix_field)]
            pub size: u64,
        }
    }

    fn layout<T: StableAbi>() -> &'static TypeLayout {
        T::LAYOUT
    }

    #[test]
    fn older_and_newer_plugins_fit_in_any_order() {
        let (old, new) = (layout::<v1_0::Root_Ref>(), layout::<v1_1::Root_Ref>());
        for _ in 0..2 {
            assert_eq!(fits(old, new, false), Ok(()), "a newer plugin in an older host");
            assert_eq!(fits(new, old, true), Ok(()), "an older plugin in a newer host");
            assert_eq!(fits(new, new, false), Ok(()));
        }
        // The direction is what makes it work.
        assert!(fits(new, old, false).is_err());
    }

    #[test]
    fn a_changed_type_is_told_in_one_line() {
        let error = fits(layout::<v1_0::Root_Ref>(), layout::<broken::Root_Ref>(), false).unwrap_err();
        assert!(error.contains("u32") && error.contains("i64") && error.contains("name"), "{error}");
        assert_eq!(error.lines().count(), 1);
        // A refusal leaves no trace behind.
        assert_eq!(fits(layout::<v1_0::Root_Ref>(), layout::<v1_1::Root_Ref>(), false), Ok(()));
    }
}
