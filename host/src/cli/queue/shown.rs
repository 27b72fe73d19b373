//! How entries look, as JSON and in words. The keys of the JSON are documented in postrider(1) and stay.

use super::super::output;
use super::live::Live;
use crate::bounce::report::DeliveryStatus;
use crate::clock::unix_now;
use crate::post::headers::Headers;
use crate::spool::{Arrival, BounceEvent, EnvelopeSender, QueueSummary, QueuedOutgoing};
use mail_parser::MessageParser;
use serde_json::{Value, json};

/// So much of one header field is decoded, in octets.
const FIELD: usize = 8192;

pub(super) fn arrival_value(arrival: &Arrival) -> Value {
    json!({
        "id": arrival.id,
        "state": arrival.state.as_str(),
        "list": arrival.recipient.list_address,
        "function": arrival.recipient.function.as_str(),
        "recipient": arrival.recipient.recipient,
        "sender": arrival.sender.as_ref().map(ToString::to_string),
        "received": arrival.received,
        "size": arrival.size,
        "reason": arrival.reason,
    })
}

pub(super) fn outgoing_value(message: &QueuedOutgoing, live: Option<&Live>) -> Value {
    let mut value = json!({
        "id": message.id,
        "state": outgoing_state(message),
        "list": message.list_address,
        "message_id": message.message_id,
        "sender": sender(&message.sender),
        "waiting": message.waiting,
        "deferred": message.deferred,
        "done": message.done,
        "queued": message.queued,
        "next_try": message.next_try,
        "last_reply": message.last_reply,
        "size": message.size,
        "personal": message.personal,
    });
    if let Some(live) = live {
        value["in_flight"] = json!(live.in_flight);
        value["per_second"] = json!((live.per_second * 10.0).round() / 10.0);
        value["seconds_left"] = json!(live.seconds_left(message.waiting - message.deferred));
    }
    value
}

pub(super) fn summary_value(summary: &QueueSummary) -> Value {
    json!({
        "in": summary.arrivals(),
        "new": summary.new,
        "kept": summary.kept,
        "shunted": summary.shunted,
        "oldest_in": summary.oldest_arrival,
        "out": summary.outgoing,
        "recipients": summary.recipients,
        "oldest_out": summary.oldest_outgoing,
    })
}

pub(super) fn bounce_value(event: &BounceEvent) -> Value {
    let status = DeliveryStatus::of(event);
    json!({
        "id": event.id,
        "list": event.list_address,
        "recipient": event.recipient,
        "reply": event.reply,
        "status": status.status,
        "diagnostic_code": status.diagnostic_code,
        "message_id": event.message_id,
        "time": event.time,
    })
}

/// Everything in one line.
pub(super) fn summary_line(summary: &QueueSummary) -> String {
    let age = |since: Option<i64>| {
        since.map_or_else(String::new, |since| format!(", oldest {}", output::span(unix_now() - since)))
    };
    let mut parts = Vec::new();
    if summary.arrivals() > 0 {
        let states = [(summary.new, "new"), (summary.kept, "kept"), (summary.shunted, "shunted")];
        let states: Vec<String> = states
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, state)| format!("{} {state}", output::count(*number)))
            .collect();
        parts.push(format!(
            "{} in ({}){}",
            output::counted(summary.arrivals(), "message"),
            states.join(", "),
            age(summary.oldest_arrival)
        ));
    }
    if summary.outgoing > 0 {
        let wait = if summary.recipients == 1 { "recipient waits" } else { "recipients wait" };
        parts.push(format!(
            "{} out, {} {wait}{}",
            output::counted(summary.outgoing, "message"),
            output::count(summary.recipients),
            age(summary.oldest_outgoing)
        ));
    }
    if parts.is_empty() { "The queues are empty".to_owned() } else { parts.join("; ") }
}

/// What to do about shunted mail.
pub(super) const SHUNTED_HELP: &str = "Shunted mail could not be processed, see its reason: `postrider queue retry in \
    NUMBER` processes it again, `postrider queue drop in NUMBER` throws it away; all of it: `--state shunted`";

pub(super) fn outgoing_state(message: &QueuedOutgoing) -> &'static str {
    if message.next_try <= unix_now() { "due" } else { "deferred" }
}

/// As a person reads it: `<>`, an address, or that address with `(VERP)`.
pub(super) fn sender(sender: &EnvelopeSender) -> String {
    match sender {
        EnvelopeSender::Null => "<>".to_owned(),
        EnvelopeSender::Fixed(sender) => sender.clone(),
        EnvelopeSender::Verp(bounces) => format!("{bounces} (VERP)"),
    }
}

/// A time in the past with its age.
pub(super) fn since(time: i64) -> String {
    format!("{} ({} ago)", output::time(time), output::span(unix_now() - time))
}

/// When the next try is: `now`, or the time.
pub(super) fn next_try(time: i64) -> String {
    if time <= unix_now() { "now".to_owned() } else { output::time(time) }
}

/// The fields of a message's header with their decoded values, each on one line.
pub(super) fn header(message: &[u8]) -> Vec<(String, String)> {
    Headers::parse(message)
        .fields()
        .map(|field| {
            let name = output::clean(&String::from_utf8_lossy(field.name()));
            // Decoded like a subject: encoded words wherever they stand (RFC 2047).
            let mut excerpt = b"Subject: ".to_vec();
            excerpt.extend_from_slice(&field.value()[..field.value().len().min(FIELD)]);
            excerpt.extend_from_slice(b"\r\n\r\n");
            let parsed = MessageParser::default().parse_headers(&excerpt);
            let decoded = parsed.as_ref().and_then(|message| message.subject()).map(str::to_owned);
            let text = decoded.unwrap_or_else(|| field.text_up_to(FIELD));
            (name, output::clean(text.trim()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_decoded_for_reading() {
        let message = b"From: =?utf-8?q?Anne_M=C3=BCller?= <anne@example.com>\r\nSubject: =?utf-8?q?Gr=C3=BC?=\r\n \
                        =?utf-8?q?=C3=9Fe?=\r\nX-Raw: a\x1bb\xff\r\nX-Empty:\r\n\r\nbody: no\r\n";
        let header = header(message);
        let found = |name: &str| header.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str());
        assert_eq!(found("From"), Some("Anne Müller <anne@example.com>"));
        assert_eq!(found("Subject"), Some("Grüße"));
        assert!(found("X-Raw").is_some_and(|value| !value.contains('\x1b')), "{header:?}");
        assert_eq!(found("X-Empty"), Some(""));
        assert_eq!(header.len(), 4);
    }

    #[test]
    fn the_summary_has_counts_and_ages() {
        let mut summary = QueueSummary::default();
        assert_eq!(summary_line(&summary), "The queues are empty");
        summary = QueueSummary {
            new: 1,
            shunted: 2,
            oldest_arrival: Some(unix_now() - 250),
            outgoing: 1,
            recipients: 1204,
            oldest_outgoing: Some(unix_now() - 7300),
            ..summary
        };
        assert_eq!(
            summary_line(&summary),
            "3 messages in (1 new, 2 shunted), oldest 4m; 1 message out, 1,204 recipients wait, oldest 2h"
        );
    }
}
