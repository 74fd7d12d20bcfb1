//! How Meta writes its webhooks: statuses put together by number, signed with the app secret.

use serde::Serialize;

use super::config::{Config, PhoneNumber};
use super::payload::{self, Metadata, Signer};
use super::state::display_number;
use super::statuses::{Status, StatusJson};
use crate::courier::{Postman, Verdict};

/// Meta, as the sender of webhooks.
#[derive(Debug)]
pub struct Meta {
    signer: Signer,
    account: String,
    numbers: Vec<PhoneNumber>,
}

#[derive(Serialize)]
struct StatusValue<'a> {
    messaging_product: &'static str,
    metadata: Metadata<'a>,
    statuses: Vec<StatusJson<'a>>,
}

impl Meta {
    pub(super) fn new(config: &Config, signer: Signer) -> Meta {
        Meta { signer, account: config.business_account_id.clone(), numbers: config.phone_numbers.clone() }
    }
}

impl Postman for Meta {
    type News = Status;
    const USER_AGENT: &'static str = "facebookexternalua";

    fn letter(&self, statuses: &[Status]) -> Vec<u8> {
        let mut values: Vec<StatusValue<'_>> = Vec::new();
        for status in statuses {
            let sender = &*status.message.sender;
            let same = |value: &StatusValue<'_>| value.metadata.phone_number_id == sender;
            let place = values.iter().position(same).unwrap_or_else(|| {
                let display_phone_number = display_number(&self.numbers, sender);
                let metadata = Metadata { display_phone_number, phone_number_id: sender };
                values.push(StatusValue { messaging_product: "whatsapp", metadata, statuses: Vec::new() });
                values.len() - 1
            });
            values[place].statuses.push(status.to_json());
        }
        payload::encode(&payload::envelope(&self.account, values))
    }

    fn proof(&self, _: &str, body: &[u8]) -> Vec<(String, String)> {
        vec![("x-hub-signature-256".to_owned(), self.signer.header(body))]
    }

    fn verdict(status: u16) -> Verdict {
        if status == 200 { Verdict::Taken } else { Verdict::Again }
    }
}
