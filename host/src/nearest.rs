//! The known word that somebody probably meant.

/// The candidate that is most like `word`, when any is like it at all; case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let mut likeness = strsim::normalized_damerau_levenshtein(&word, &lower);
            // `host` for `smtp_host`, `smtp_hostname` for `smtp_host`.
            if word.len() >= 4 && (lower.contains(&word) || word.contains(&lower)) {
                likeness = likeness.max(0.6);
            }
            (candidate, likeness)
        })
        .filter(|(_, likeness)| *likeness >= 0.5)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_nonsense_finds_none() {
        let known = ["smtp_host", "smtp_port", "lmtp_port", "incoming"];
        assert_eq!(nearest("smpt_host", known), Some("smtp_host"));
        assert_eq!(nearest("SMTP_PORT", known), Some("smtp_port"));
        assert_eq!(nearest("smtp_hostname", known), Some("smtp_host"));
        assert_eq!(nearest("xyzzy", known), None);
    }
}
