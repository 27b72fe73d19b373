//! The texts of our own mails, and the substitution of `$name` in them.
//!
//! Plain text, lines of at most 72 characters where no value is put in.

/// To the author of a post that was rejected.
pub(super) const REJECTED: &str = "\
Your message to the mailing list $list was not distributed.

    Subject:    $subject
    Message-ID: $message_id
    Reason:     $reason

If you think that this is a mistake, write to the people behind the
list: $owner
";

/// To owners and moderators when a post is held.
pub(super) const HELD: &str = "\
A message to the mailing list $list waits for your decision.

    Number:     $id
    From:       $from
    Sender:     $sender
    Subject:    $subject
    Size:       $size octets
    Reason:     $reason

On the server, one of these commands decides about it:

    postrider held accept $id
    postrider held reject $id
    postrider held discard $id

$attached
";

/// Ends [`HELD`] when the message is attached.
pub(super) const ATTACHED: &str = "The message is attached.";

/// Ends [`HELD`] when it is not.
pub(super) const TOO_LARGE: &str = "The message is too large to be attached.";

/// Puts values in the place of `$name`, each once: what a value contains is not looked at again.
/// A `$` that no known name follows stays.
pub(super) fn substitute(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let tail = &rest[dollar + 1..];
        let end = tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len());
        if let Some((_, value)) = values.iter().find(|(name, _)| *name == &tail[..end]) {
            out.push_str(value);
            rest = &tail[end..];
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_once() {
        let values = [("a", "$b"), ("b", "2"), ("a_b", "3")];
        assert_eq!(substitute("$a, $b. $a_b $c $ $", &values), "$b, 2. 3 $c $ $");
    }

    #[test]
    fn every_name_in_a_text_is_known() {
        let names = ["list", "subject", "message_id", "reason", "owner", "id", "from", "sender", "size", "attached"];
        let values: Vec<(&str, &str)> = names.iter().map(|name| (*name, "x")).collect();
        for text in [REJECTED, HELD] {
            assert!(!substitute(text, &values).contains('$'), "{text}");
        }
    }
}
