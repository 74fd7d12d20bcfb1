-- Where things stand in stored records, and the codes that travel.

-- A queue's record, one packed array:
local NAME, IN_RING, GATED, PAUSED, BREAKER, BREAKER_VALUE = 1, 2, 3, 4, 5, 6
-- No start before; the last cut of its rate: when (0: never), and the shares before and after.
local THROTTLED, CUT_AT, CUT_FROM, CUT_TO = 7, 8, 9, 10
-- Turns owed to priority 1 to 4; jobs by phase; lanes' lengths by priority.
local OWED, PHASE, WAITING = 10, 14, 29
local ACCEPTED, STARTS, DONES, DEADS, CANCELS, EXPIRED_JOBS, DUPLICATES = 34, 35, 36, 37, 38, 39, 40
local STALE, RAN_OUT, RAN_OUT_STARTED = 41, 42, 43
-- The parked list and the four lists of kept jobs: lengths, and ghosts in them.
local PARKED_LIST, KEPT_LISTS, PARKED_GHOSTS, KEPT_GHOSTS = 44, 44, 49, 49
-- Names of paused groups; windows, and the number of the next one's list; the ring of a priority.
local PAUSED_GROUPS, WINDOWS, NEXT_WINDOW, RINGS = 54, 55, 56, 56
-- Final jobs that were taken back: dead, cancelled, expired. Times that the breaker opened. Doubts that were ended by
-- evidence, by a person, by the policy.
local UNDONE, BREAKER_OPENS, RESOLVED = 60, 64, 64
-- Since when its rate is held (0: it is not) and by which window, { most, window }, or 0: by the other side; how long
-- each has held it, { most or 0, window, for how long, … }.
local HELD_SINCE, HELD_BY, RATE_HELD = 68, 69, 70
local RECORD_LENGTH = 70
local BY_EVIDENCE, BY_PERSON, BY_POLICY = 1, 2, 3

local FRESH, CLOSED, OPEN, HALF_OPEN = 0, 1, 2, 3

-- A group's: jobs, started, paused, in the ring of a priority, length of a lane, ghosts in it.
local GROUP_JOBS, GROUP_STARTED, GROUP_PAUSED, GROUP_RING, LANE, LANE_GHOSTS = 1, 2, 3, 3, 7, 11

-- Why a lease's operation changed nothing.
local FINE, STALE_LEASE, TOO_LATE, TAKEN_BACK = 0, 1, 2, 3
