//! `postrider held`

use super::{Exit, Session, output};
use crate::control::Request;
use crate::post::{PostSettings, Processor};
use crate::store::HeldPost;
use anyhow::anyhow;
use serde_json::json;

/// Show held posts and decide about them
#[derive(Debug, clap::Args)]
pub struct Held {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only posts to this list
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the message
    Show {
        /// Its number
        number: i64,
        /// Print it octet by octet, to a terminal too
        #[arg(long)]
        raw: bool,
    },
    /// Distribute
    Accept {
        /// Their numbers
        #[arg(required = true)]
        numbers: Vec<i64>,
    },
    /// Send back to the author
    Reject {
        /// Their numbers
        #[arg(required = true)]
        numbers: Vec<i64>,
        /// What the author is told
        #[arg(short, long, default_value = "")]
        reason: String,
    },
    /// Throw away
    Discard {
        /// Their numbers
        #[arg(required = true)]
        numbers: Vec<i64>,
    },
}

impl Held {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        match &self.action {
            None => self.list(session).await,
            Some(Action::Show { number, raw }) => {
                let (_, message) = held_post(session, *number).await?;
                output::message(&message, *raw);
                Ok(Exit::Done)
            }
            Some(Action::Accept { numbers }) => decide(session, numbers, Decision::Accept).await,
            Some(Action::Reject { numbers, reason }) => decide(session, numbers, Decision::Reject(reason)).await,
            Some(Action::Discard { numbers }) => decide(session, numbers, Decision::Discard).await,
        }
    }

    async fn list(&self, session: &Session) -> anyhow::Result<Exit> {
        let store = session.store().await?;
        let list = match &self.list {
            Some(name) => Some(session.list(name).await?.id),
            None => None,
        };
        let mut rows = Vec::new();
        let mut values = Vec::new();
        for post in store.held(list).await? {
            let address = store.list_by_id(post.list).await?.map(|list| list.address.to_string()).unwrap_or_default();
            values.push(json!({
                "id": post.id,
                "list": address,
                "from": post.from,
                "sender": post.sender.as_ref().map(ToString::to_string),
                "subject": post.subject,
                "reason": post.reason,
                "held": post.held,
                "size": post.size,
            }));
            rows.push([
                post.id.to_string(),
                address,
                output::time(post.held),
                output::clean(&post.from),
                output::clean(&post.subject),
                output::clean(&post.reason),
            ]);
        }
        if self.json {
            output::json(&json!(values));
        } else if rows.is_empty() {
            output::line("No held posts");
        } else {
            output::table(["NUMBER", "LIST", "HELD", "FROM", "SUBJECT", "REASON"], &rows);
        }
        Ok(Exit::Done)
    }
}

enum Decision<'a> {
    Accept,
    Reject(&'a str),
    Discard,
}

async fn held_post(session: &Session, number: i64) -> anyhow::Result<(HeldPost, Vec<u8>)> {
    let found = session.store().await?.held_post(number).await?;
    found.ok_or_else(|| anyhow!("no held post has the number {number}; `postrider held` lists those that wait"))
}

/// Decides about each post by itself: one that fails does not stop the others.
async fn decide(session: &Session, numbers: &[i64], decision: Decision<'_>) -> anyhow::Result<Exit> {
    let (store, spool) = (session.store().await?.clone(), session.spool().await?.clone());
    let processor = Processor::new(store, spool, PostSettings::from_config(session.config()));
    let mut exit = Exit::Done;
    for number in numbers {
        let done = async {
            anyhow::Ok(match decision {
                Decision::Accept => {
                    let decided = processor.accept_held(*number).await?;
                    format!("accepted, goes to {} members", decided.recipients)
                }
                Decision::Reject(reason) => match processor.reject_held(*number, reason).await?.recipients {
                    0 => "rejected; its sender gets no notice (see the log)".to_owned(),
                    _ => "rejected, its sender gets a notice".to_owned(),
                },
                Decision::Discard => {
                    processor.discard_held(*number).await?;
                    "discarded".to_owned()
                }
            })
        };
        match done.await {
            Ok(what) => output::line(&format!("{number} {what}")),
            Err(error) => {
                output::error(&error);
                exit = Exit::Failed;
            }
        }
    }
    session.wake(Request::Spool).await;
    Ok(exit)
}
