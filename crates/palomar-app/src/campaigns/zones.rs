//! In which time zones somebody may be, by their number: the zone of its country or, where a country has several and the
//! number does not tell, those at its ends: hours that hold in both hold between them.

use palomar_model::{Recipient, Timestamp, ZoneName};
use palomar_records::CampaignLane;

use super::definition::Definition;

/// Calling codes, each before those that it begins with; of countries that write to each other on WhatsApp most.
#[rustfmt::skip]
const BY_CODE: &[(&str, &[&str])] = &[
    ("1242", &["America/Nassau"]), ("1787", &["America/Puerto_Rico"]), ("1809", &["America/Santo_Domingo"]),
    ("1829", &["America/Santo_Domingo"]), ("1849", &["America/Santo_Domingo"]), ("1939", &["America/Puerto_Rico"]),
    ("1876", &["America/Jamaica"]), ("1868", &["America/Port_of_Spain"]),
    ("1", &["America/New_York", "America/Los_Angeles"]),
    ("20", &["Africa/Cairo"]), ("212", &["Africa/Casablanca"]), ("213", &["Africa/Algiers"]),
    ("216", &["Africa/Tunis"]), ("221", &["Africa/Dakar"]), ("225", &["Africa/Abidjan"]), ("233", &["Africa/Accra"]),
    ("234", &["Africa/Lagos"]), ("237", &["Africa/Douala"]), ("240", &["Africa/Malabo"]), ("244", &["Africa/Luanda"]),
    ("251", &["Africa/Addis_Ababa"]), ("254", &["Africa/Nairobi"]), ("255", &["Africa/Dar_es_Salaam"]),
    ("256", &["Africa/Kampala"]), ("258", &["Africa/Maputo"]), ("27", &["Africa/Johannesburg"]),
    ("30", &["Europe/Athens"]), ("31", &["Europe/Amsterdam"]), ("32", &["Europe/Brussels"]), ("33", &["Europe/Paris"]),
    ("34", &["Europe/Madrid"]), ("351", &["Europe/Lisbon"]), ("352", &["Europe/Luxembourg"]), ("353", &["Europe/Dublin"]),
    ("355", &["Europe/Tirane"]), ("357", &["Asia/Nicosia"]), ("358", &["Europe/Helsinki"]), ("359", &["Europe/Sofia"]),
    ("36", &["Europe/Budapest"]), ("370", &["Europe/Vilnius"]), ("371", &["Europe/Riga"]), ("372", &["Europe/Tallinn"]),
    ("376", &["Europe/Andorra"]), ("380", &["Europe/Kyiv"]), ("381", &["Europe/Belgrade"]), ("385", &["Europe/Zagreb"]),
    ("386", &["Europe/Ljubljana"]), ("39", &["Europe/Rome"]), ("40", &["Europe/Bucharest"]), ("41", &["Europe/Zurich"]),
    ("420", &["Europe/Prague"]), ("421", &["Europe/Bratislava"]), ("43", &["Europe/Vienna"]), ("44", &["Europe/London"]),
    ("45", &["Europe/Copenhagen"]), ("46", &["Europe/Stockholm"]), ("47", &["Europe/Oslo"]), ("48", &["Europe/Warsaw"]),
    ("49", &["Europe/Berlin"]), ("501", &["America/Belize"]), ("502", &["America/Guatemala"]),
    ("503", &["America/El_Salvador"]), ("504", &["America/Tegucigalpa"]), ("505", &["America/Managua"]),
    ("506", &["America/Costa_Rica"]), ("507", &["America/Panama"]), ("509", &["America/Port-au-Prince"]),
    ("51", &["America/Lima"]), ("52", &["America/Cancun", "America/Tijuana"]), ("53", &["America/Havana"]),
    ("54", &["America/Argentina/Buenos_Aires"]), ("55", &["America/Sao_Paulo", "America/Manaus"]),
    ("56", &["America/Santiago"]), ("57", &["America/Bogota"]), ("58", &["America/Caracas"]), ("591", &["America/La_Paz"]),
    ("593", &["America/Guayaquil"]), ("595", &["America/Asuncion"]), ("598", &["America/Montevideo"]),
    ("60", &["Asia/Kuala_Lumpur"]), ("61", &["Australia/Sydney", "Australia/Perth"]),
    ("62", &["Asia/Jakarta", "Asia/Jayapura"]), ("63", &["Asia/Manila"]), ("64", &["Pacific/Auckland"]),
    ("65", &["Asia/Singapore"]), ("66", &["Asia/Bangkok"]), ("76", &["Asia/Almaty"]), ("77", &["Asia/Almaty"]),
    ("7", &["Europe/Moscow", "Asia/Vladivostok"]), ("81", &["Asia/Tokyo"]), ("82", &["Asia/Seoul"]),
    ("84", &["Asia/Ho_Chi_Minh"]), ("852", &["Asia/Hong_Kong"]), ("86", &["Asia/Shanghai"]), ("880", &["Asia/Dhaka"]),
    ("886", &["Asia/Taipei"]), ("90", &["Europe/Istanbul"]), ("91", &["Asia/Kolkata"]), ("92", &["Asia/Karachi"]),
    ("94", &["Asia/Colombo"]), ("95", &["Asia/Yangon"]), ("961", &["Asia/Beirut"]), ("962", &["Asia/Amman"]),
    ("964", &["Asia/Baghdad"]), ("965", &["Asia/Kuwait"]), ("966", &["Asia/Riyadh"]), ("967", &["Asia/Aden"]),
    ("968", &["Asia/Muscat"]), ("971", &["Asia/Dubai"]), ("972", &["Asia/Jerusalem"]), ("973", &["Asia/Bahrain"]),
    ("974", &["Asia/Qatar"]), ("977", &["Asia/Kathmandu"]), ("98", &["Asia/Tehran"]), ("994", &["Asia/Baku"]),
    ("995", &["Asia/Tbilisi"]), ("998", &["Asia/Tashkent"]),
];

/// The zones that somebody may be in; none where the number tells nothing.
pub(super) fn of(recipient: &Recipient) -> &'static [&'static str] {
    let Some(phone) = recipient.phone() else { return &[] };
    let digits = phone.digits();
    let longest =
        BY_CODE.iter().filter(|(code, _)| digits.starts_with(code)).max_by_key(|(code, _)| code.len());
    longest.map_or(&[], |(_, zones)| zones)
}

/// When those of a lane may be written to: now, or next. Whoever never may be is as if they might now: it shows when their
/// message is made.
pub(super) fn opens(definition: &Definition, lane: &CampaignLane, now: Timestamp) -> Timestamp {
    let Some(hours) = &definition.hours else { return now };
    let own = read(&lane.zones);
    let own = if own.is_empty() { vec![definition.zone.clone()] } else { own };
    hours.next(now, &own).unwrap_or(now)
}

/// Zones as they are kept: a space between two.
pub(super) fn read(text: &str) -> Vec<ZoneName> {
    text.split_whitespace().filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_where_people_are() {
        for (number, expected) in [
            ("+34600111222", "Europe/Madrid"),
            ("+18095551234", "America/Santo_Domingo"),
            ("+12125551234", "America/New_York America/Los_Angeles"),
            ("+77011234567", "Asia/Almaty"),
            ("ES.918273645546372819", ""),
        ] {
            let recipient = Recipient::parse(number, None).expect(number);
            assert_eq!(of(&recipient).join(" "), expected, "{number}");
        }
    }

    #[test]
    fn every_zone_is_known() {
        for name in BY_CODE.iter().flat_map(|(_, zones)| zones.iter()) {
            assert!(name.parse::<ZoneName>().is_ok(), "{name}");
        }
        assert_eq!(read("Europe/Madrid x UTC").len(), 2);
    }
}
