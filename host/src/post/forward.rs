//! Mail for people: `-owner` goes to the list's owners and moderators, and mail for the postmaster (an
//! arrival without a list), or for a list without owners, to `site_owner`.
//!
//! Envelope sender: the list's `-bounces` address. The original one would make us forge somebody
//! else's domain (SPF); `<>` would hide the failure, and looks like a delivery report to filters. What
//! came from `<>` goes on with `<>` (RFC 5321, section 4.5.5), and so does the postmaster's mail, which
//! has no list to bounce to. A loop (an owner's address that leads back here) ends in the shunt queue:
//! each forwarded message carries X-BeenThere with the address that forwarded it.

use super::headers::{FieldValue, Headers};
use super::process::{Failure, Processor, guarded};
use super::recipients_for_people;
use crate::lists::EmailAddress;
use crate::spool::{Arrival, EnvelopeSender, Outgoing};
use std::sync::Arc;
use tracing::info;

/// Forwards mail for `LIST-owner`.
pub(super) async fn to_owners(processor: &Processor, arrival: &Arrival) -> Result<(), Failure> {
    let list = processor.list(arrival).await?;
    let people = recipients_for_people(&processor.store, &list, &processor.settings).await?;
    if people.is_empty() {
        return Err(Failure::Permanent(format!(
            "the list {} has no owner and [mailman] site_owner is not set; set one of them and retry",
            list.address
        )));
    }
    let sender = match arrival.sender {
        Some(_) => EnvelopeSender::Fixed(list.address.with("bounces")),
        None => EnvelopeSender::Null,
    };
    forward(processor, arrival, &list.address.with("owner"), sender, people).await
}

/// Forwards mail for the postmaster.
pub(super) async fn to_site_owner(processor: &Processor, arrival: &Arrival) -> Result<(), Failure> {
    let Some(owner) = processor.settings.site_owner.clone() else {
        return Err(Failure::Permanent(
            "mail for the postmaster has nowhere to go: [mailman] site_owner is not set; set it to your address and retry".to_owned(),
        ));
    };
    forward(processor, arrival, &arrival.recipient.recipient, EnvelopeSender::Null, vec![owner]).await
}

async fn forward(
    processor: &Processor,
    arrival: &Arrival,
    forwarder: &str,
    sender: EnvelopeSender,
    recipients: Vec<EmailAddress>,
) -> Result<(), Failure> {
    let message = processor.spool.message(arrival.message).await?;
    let (forwarded, message_id) = guarded(|| {
        let mut headers = Headers::parse(&message);
        if headers.is_cut() {
            return Err("its header is too large to see whether it was forwarded here before".to_owned());
        }
        if let Some(hops) = headers.endless_hops() {
            return Err(format!("it went through {hops} mail servers (Received): a mail loop"));
        }
        if headers.all("X-BeenThere").any(|field| field.text().eq_ignore_ascii_case(forwarder)) {
            return Err("it came back: one of the addresses that it is forwarded to leads here again".to_owned());
        }
        headers.remove("Return-Path");
        headers.push("X-BeenThere", &FieldValue::cleaned(forwarder));
        let message_id = super::facts::message_id(&headers);
        Ok((headers.write(), message_id))
    })?
    .map_err(|reason| Failure::Permanent(format!("this mail for {forwarder} is not forwarded: {reason}")))?;
    let list = &arrival.recipient;
    info!(message_id, to = forwarder, recipients = recipients.len(), size = message.len(), "forwarded");
    let outgoing = Outgoing {
        list: (!list.list_address.is_empty()).then_some(list.list),
        list_address: list.list_address.clone(),
        message_id,
        sender,
        message: Arc::from(forwarded),
        recipients,
        personal: None,
    };
    Ok(processor.spool.fan_out(Some(arrival.id), vec![outgoing]).await?)
}
