//! Tells of alerts: to a hook, by a queue, so that nothing is lost while the other side is away; to a WhatsApp number, as a
//! message.
//!
//! Always: what is told twice has the same id both times, `webhook-id` or the message's own; what is told to two has two.

use palomar_broker::NewJob;
use palomar_model::MessageId;
use palomar_records::{AlertRecord, ToTell};
use serde_json::json;

use super::AlertView;
use crate::hooks::{self, NoticeNumber, Topic};
use crate::request::NewMessage;
use crate::{App, AppError, Caller};

/// The same for the same news to the same, and for no other.
fn news_id(alert: &AlertRecord, what: ToTell, told: &[&str]) -> MessageId {
    let what = match what {
        ToTell::Firing => "firing",
        ToTell::Resolved => "resolved",
    };
    hooks::news_id(&[&["alert", &alert.id, what], told].concat())
}

fn job(alert: &AlertRecord, what: ToTell) -> Result<NewJob, AppError> {
    let (kind, at) = match what {
        ToTell::Firing => ("alert.firing", alert.fired_at),
        ToTell::Resolved => ("alert.resolved", alert.resolved_at.unwrap_or(alert.fired_at)),
    };
    let body = json!({"type": kind, "timestamp": at, "data": AlertView::from(alert.clone())});
    Topic::Alerts.job(news_id(alert, what, &["hook"]), body.to_string())
}

impl App {
    /// Queues what is still to be told of alerts.
    pub(super) async fn tell_alerts(&self) -> Result<(), AppError> {
        const PAGE: usize = 100;
        for (alert, what) in self.records.untold_alerts(PAGE).await? {
            let config = &self.config.alerts;
            if config.hook.is_some() {
                self.broker.enqueue(vec![job(&alert, what)?]).await?;
            }
            if let Some(number) = &config.number {
                self.tell_number(number, &alert, what).await?;
            }
            self.records.alert_told(&alert.id, what).await?;
        }
        Ok(())
    }

    async fn tell_number(
        &self,
        number: &NoticeNumber,
        alert: &AlertRecord,
        what: ToTell,
    ) -> Result<(), AppError> {
        let words = match what {
            ToTell::Firing => format!("{} ({}): {}", alert.rule, alert.subject, alert.detail),
            ToTell::Resolved => format!("{} ({}) is over", alert.rule, alert.subject),
        };
        let mut message = NewMessage::text(number.channel.clone(), number.to.clone(), &words);
        message.id = Some(news_id(alert, what, &["number", number.channel.as_str(), &number.to.key()]));
        message.priority = palomar_model::Priority::High;
        match self.submit(message, 0, &Caller::system(), None).await {
            Ok(_) => Ok(()),
            Err(error @ (AppError::Full | AppError::Unavailable(_) | AppError::SpoolFull)) => Err(error),
            Err(error) => {
                tracing::warn!(alert = alert.id, %error, "an alert can't be told by WhatsApp");
                Ok(())
            }
        }
    }
}
