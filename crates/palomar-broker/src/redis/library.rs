//! The library of functions that does the broker's work inside Redis.
//!
//! Its name carries the layout of the keys and a checksum of its text: processes of two versions each call their own,
//! and a server that lacks one (a primary that was promoted, one that was emptied) is given it again.

/// The layout of the keys. One that is newer is not touched.
pub(super) const LAYOUT: u32 = 1;

/// Parts whose names the others use.
const SHARED: [&str; 2] = [include_str!("lua/head.lua"), include_str!("lua/layout.lua")];
const PARTS: [&str; 21] = [
    include_str!("lua/list.lua"),
    include_str!("lua/times.lua"),
    include_str!("lua/facts.lua"),
    include_str!("lua/jobs.lua"),
    include_str!("lua/throttle.lua"),
    include_str!("lua/windows.lua"),
    include_str!("lua/queues.lua"),
    include_str!("lua/groups.lua"),
    include_str!("lua/budgets.lua"),
    include_str!("lua/turns.lua"),
    include_str!("lua/chains.lua"),
    include_str!("lua/settle.lua"),
    include_str!("lua/operate.lua"),
    include_str!("lua/evidence.lua"),
    include_str!("lua/tick.lua"),
    include_str!("lua/control.lua"),
    include_str!("lua/view.lua"),
    include_str!("lua/upkeep.lua"),
    include_str!("lua/left.lua"),
    include_str!("lua/prefetch.lua"),
    include_str!("lua/call.lua"),
];

/// Names keys of a call: what the library needs is the first. The others are never there, so that a cluster refuses the
/// call while it moves the partition's slot: half of the keys would be missing then, wherever the call went.
pub(super) fn keys(base: &str) -> [String; 3] {
    [base.to_owned(), format!("{base}:never"), format!("{base}:neither")]
}

/// The library: its name, which its functions' names begin with, and its text.
#[derive(Clone, Debug)]
pub(super) struct Library {
    /// Does a call; refused where memory is used up.
    pub(super) call: String,
    /// Does a call that brings nothing new, in whatever memory there is.
    pub(super) spare: String,
    /// Makes a partition.
    pub(super) create: String,
    /// What Redis loads.
    pub(super) text: String,
}

impl Library {
    pub(super) fn new() -> Library {
        let mut body = SHARED.concat();
        // Lua allows a function 200 names of its own.
        for part in PARTS {
            body.push_str("do\n");
            body.push_str(part);
            body.push_str("end\n");
        }
        let name = format!("palomar_{LAYOUT}_{:08x}", crc32fast::hash(body.as_bytes()));
        let functions =
            [("", "call", ""), ("_spare", "call", ", flags = { 'allow-oom' }"), ("_create", "create", "")];
        for (suffix, function, flags) in functions {
            body.push_str(&format!(
                "redis.register_function{{ function_name = '{name}{suffix}', callback = entry.{function}{flags} }}\n"
            ));
        }
        Library {
            text: format!("#!lua name={name}\n{body}"),
            spare: format!("{name}_spare"),
            create: format!("{name}_create"),
            call: name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_that_redis_takes_and_follows_the_text() {
        let library = Library::new();
        assert!(library.call.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'), "{}", library.call);
        assert!(library.text.starts_with(&format!("#!lua name={}\n", library.call)));
        assert!(library.text.contains(&format!("'{}'", library.spare)));
    }

    #[test]
    fn no_name_that_parts_share_means_two_things() {
        let mut names = std::collections::HashSet::new();
        let shared = SHARED.concat();
        for line in shared.lines().filter_map(|line| line.strip_prefix("local ")) {
            let declared = line.split('=').next().unwrap_or_default();
            for name in declared.split(',').filter(|name| !name.contains(' ') || name.starts_with(' ')) {
                assert!(names.insert(name.trim()), "{} is declared twice", name.trim());
            }
        }
        assert!(names.contains("HELD") && names.len() > 100, "{}", names.len());
    }
}
