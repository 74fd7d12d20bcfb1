//! WhatsApp's ids of accounts and groups, as Evolution writes them: `34600111222@s.whatsapp.net`, `…@lid`, `…@g.us`.

use palomar_model::Phone;

/// What a jid names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jid<'a> {
    /// An account by its digits.
    User(&'a str),
    /// An account that hides its number: digits that are none.
    Hidden(&'a str),
    /// A group.
    Group,
    /// Everybody's stories.
    Stories,
    /// A broadcast list, a channel to follow, or what is not known.
    Other,
}

/// Reads a jid; a device after a colon is left out.
pub(super) fn read(jid: &str) -> Jid<'_> {
    let Some((user, server)) = jid.split_once('@') else {
        return Jid::Other;
    };
    let user = user.split(':').next().unwrap_or_default();
    let digits = !user.is_empty() && user.len() <= 20 && user.bytes().all(|c| c.is_ascii_digit());
    match server {
        "s.whatsapp.net" | "c.us" if digits => Jid::User(user),
        "lid" if digits => Jid::Hidden(user),
        "g.us" => Jid::Group,
        "broadcast" if user == "status" => Jid::Stories,
        _ => Jid::Other,
    }
}

/// The jid of a phone number. Evolution itself finds the spelling that WhatsApp has for it.
pub(super) fn of_phone(phone: &Phone) -> String {
    format!("{}@s.whatsapp.net", phone.digits())
}

/// What an account is called in short: the digits of one that shows its number, else the whole.
pub(super) fn account(jid: &str) -> &str {
    match read(jid) {
        Jid::User(digits) => digits,
        _ => jid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (jid, expected) in [
            ("34600111222@s.whatsapp.net", Jid::User("34600111222")),
            ("34600111222:12@s.whatsapp.net", Jid::User("34600111222")),
            ("34600111222@c.us", Jid::User("34600111222")),
            ("123456789012345@lid", Jid::Hidden("123456789012345")),
            ("120363000000000001@g.us", Jid::Group),
            ("status@broadcast", Jid::Stories),
            ("1234@broadcast", Jid::Other),
            ("1234@newsletter", Jid::Other),
            ("é@s.whatsapp.net", Jid::Other),
            ("@s.whatsapp.net", Jid::Other),
            ("", Jid::Other),
        ] {
            assert_eq!(read(jid), expected, "{jid}");
        }
        assert_eq!(account("34600111222:3@s.whatsapp.net"), "34600111222");
        assert_eq!(account("123456789012345@lid"), "123456789012345@lid");
    }
}
