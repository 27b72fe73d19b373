//! The people behind a list.

use super::process::PostSettings;
use crate::lists::{EmailAddress, List, Role};
use crate::store::{self, Store};

/// Owners and moderators of a list, once each; `site_owner` when there are none; nobody when that
/// is not set either.
pub(super) async fn recipients_for_people(
    store: &Store,
    list: &List,
    settings: &PostSettings,
) -> store::Result<Vec<EmailAddress>> {
    let mut people = Vec::new();
    for role in [Role::Owner, Role::Moderator] {
        people.extend(store.members(list.id, Some(role)).await?.into_iter().map(|member| member.address));
    }
    people.sort();
    people.dedup();
    if people.is_empty() {
        people.extend(settings.site_owner.clone());
    }
    Ok(people)
}

/// Who is told that a post is held: the people behind the list, without those whose address leads
/// to this list again (there it would be held, and told of); `site_owner` when nobody else is left.
pub(super) async fn people_to_tell(
    store: &Store,
    list: &List,
    settings: &PostSettings,
) -> store::Result<Vec<EmailAddress>> {
    let mut people = Vec::new();
    for address in recipients_for_people(store, list, settings).await? {
        if !leads_to(store, list, &address, settings).await? {
            people.push(address);
        }
    }
    if people.is_empty()
        && let Some(owner) = &settings.site_owner
        && !leads_to(store, list, owner, settings).await?
    {
        people.push(owner.clone());
    }
    Ok(people)
}

async fn leads_to(store: &Store, list: &List, address: &EmailAddress, settings: &PostSettings) -> store::Result<bool> {
    Ok(store.resolve(address, &settings.delimiter).await?.is_some_and(|route| route.list == list.id))
}
