//! Address cards in a message.

use serde::{Deserialize, Serialize};

use crate::field::Checks;

/// One or more address cards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    /// The cards.
    pub contacts: Vec<ContactCard>,
}

/// One address card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactCard {
    /// Who it is.
    pub name: ContactName,
    /// Phone numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<ContactPhone>,
    /// Mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<ContactEmail>,
    /// Postal addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ContactAddress>,
    /// Web addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<ContactUrl>,
    /// Where they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<ContactOrg>,
    /// Birthday, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birthday: Option<String>,
}

/// A declaration of a card's part: a struct whose fields are all optional texts.
macro_rules! optional_texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<String>,)+
        }
    };
}

/// A name; the whole and at least one part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactName {
    /// The whole name as shown.
    #[serde(alias = "formatted_name")]
    pub formatted_name: String,
    /// Given name.
    #[serde(default, alias = "first_name", skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(default, alias = "last_name", skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Middle name.
    #[serde(default, alias = "middle_name", skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// What stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What stands behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// A phone number on a card: shown as written, so free text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContactPhone {
    /// The number.
    pub phone: String,
    /// `HOME`, `WORK`, `CELL`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The WhatsApp account behind it, which gives the card its "Message" button.
    #[serde(default, alias = "wa_id", skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
}

/// A mail address on a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactEmail {
    /// The address.
    pub email: String,
    /// `HOME`, `WORK`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A web address on a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactUrl {
    /// The address.
    pub url: String,
    /// `HOME`, `WORK`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

optional_texts! {
    /// A postal address on a card.
    ContactAddress {
        /// Street and number.
        street,
        /// Town.
        city,
        /// State or province.
        state,
        /// Postal code.
        zip,
        /// Country.
        country,
        /// Its two-letter code.
        #[serde(alias = "country_code")]
        country_code,
        /// `HOME`, `WORK`, …
        #[serde(rename = "type")]
        kind,
    }
}

optional_texts! {
    /// Where somebody works.
    ContactOrg {
        /// The company.
        company,
        /// The department.
        department,
        /// The job title.
        title,
    }
}

impl Contacts {
    pub(crate) fn check(&self, checks: &mut Checks) {
        checks.require(!self.contacts.is_empty(), "/content/contacts", "must have at least one contact");
        for (n, card) in self.contacts.iter().enumerate() {
            let at = format!("/content/contacts/{n}");
            let name = &card.name;
            let parts = [&name.first_name, &name.last_name, &name.middle_name, &name.prefix, &name.suffix];
            let named = !name.formatted_name.trim().is_empty();
            checks.require(named, format!("{at}/name/formattedName"), "must not be empty");
            checks.require(
                parts.into_iter().any(Option::is_some),
                format!("{at}/name"),
                "needs one more part beside formattedName, for example firstName",
            );
            for (m, phone) in card.phones.iter().enumerate() {
                checks.require(
                    !phone.phone.trim().is_empty(),
                    format!("{at}/phones/{m}/phone"),
                    "must not be empty",
                );
            }
            if let Some(birthday) = &card.birthday {
                let is_date = birthday.len() == 10 && birthday.parse::<jiff::civil::Date>().is_ok();
                checks.require(is_date, format!("{at}/birthday"), "must be a date, YYYY-MM-DD");
            }
        }
    }
}
