//! Numbers in as few bytes as they need: seven bits a byte, the lowest first.

use super::Damaged;

pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    bytes.push(number as u8);
}

/// Takes a number off the front.
pub(super) fn take(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = place * 7;
        if shift > 63 || (shift == 63 && bits > 1) {
            return Err(Damaged);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Ok(number);
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 0x7f, 0x80, 300, 1 << 40, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Ok(number));
            assert!(rest.is_empty());
        }
        for bad in [&[][..], &[0x80], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert_eq!(take(&mut &*bad), Err(Damaged));
        }
    }
}
