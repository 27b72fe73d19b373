//! `postrider info LIST`

use super::{Exit, Session, output};
use crate::lists::Role;
use serde_json::json;

/// Show a list and its settings
#[derive(Debug, clap::Args)]
pub struct Info {
    /// Posting address or list-id
    list: String,
    /// Explain each setting
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Info {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let list = session.list(&self.list).await?;
        let store = session.store().await?;
        let members = store.members(list.id, None).await?;
        let count = |role| members.iter().filter(|member| member.role == role).count();
        let held = store.held(Some(list.id)).await?.len();
        if self.json {
            output::json(&json!({
                "address": list.address.to_string(),
                "list_id": list.list_id.as_str(),
                "created": list.created,
                "post_count": list.post_count,
                "members": count(Role::Member),
                "owners": count(Role::Owner),
                "moderators": count(Role::Moderator),
                "held": held,
                "settings": list.settings
                    .values()
                    .map(|(setting, value)| (setting.name.to_owned(), json!(value)))
                    .collect::<serde_json::Map<_, _>>(),
            }));
            return Ok(Exit::Done);
        }
        output::line(&format!("List      {}", list.address));
        output::line(&format!("List-Id   {}", list.list_id));
        output::line(&format!("Created   {}", output::time(list.created)));
        output::line(&format!("Posts     {}", list.post_count));
        output::line(&format!(
            "People    {} members, {} owners, {} moderators",
            count(Role::Member),
            count(Role::Owner),
            count(Role::Moderator)
        ));
        output::line(&format!("Held      {held}"));
        output::line("");
        for (setting, value) in list.settings.values() {
            if self.verbose {
                output::line(&format!("# {} ({})", setting.help, setting.allowed));
            }
            if setting.kind == "lines" && !value.is_empty() {
                output::line(&format!("{} =", setting.name));
                for line in value.split('\n') {
                    output::line(&format!("    | {}", output::clean(line)));
                }
                continue;
            }
            output::line(&format!("{} = {}", setting.name, output::clean(&value)));
        }
        Ok(Exit::Done)
    }
}
