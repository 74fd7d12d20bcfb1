-- What all parts share: the phases of a job, the keys of a partition, and the state of the call that runs.
--
-- A call loads what its operations touch, changes it in these tables, and writes it back once, at its end (`store`).
-- An error before that has changed nothing. What a call has loaded stays for the next one, which uses it only where
-- nothing was written in between (see `left`); what was set for the call alone is put away at its end (`rest`).

-- The parts. They name each other freely: what is called is looked up when it is called.
local list, times, facts, jobs, windows, pairs_of, queues, groups, budgets = {}, {}, {}, {}, {}, {}, {}, {}, {}
local throttle, turns, chains, settle, operate, evidence, tick, control, view, store, upkeep, left, entry =
  {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}

-- Phases, as the machine has them.
local SCHEDULED, READY, BLOCKED, BACKOFF, PACING = 1, 2, 3, 4, 5
local PARKED, LEASED, STARTED, DOUBTED, ASIDE, HELD = 6, 7, 8, 9, 10, 11
local DEAD, DONE, CANCELLED, EXPIRED = 12, 13, 14, 15
-- Among the sleepers: waits for a time.
local SLEEPS = { true, false, false, true, true, false, true, true, true, true, false, false, false, false, false }
local FINAL = { false, false, false, false, false, false, false, false, false, false, false, true, true, true, true }
-- Waits for its turn or its time, and may be cancelled.
local WAITS = { true, true, true, true, true, true, false, false, false, false, false, false, false, false, false }
-- In the index of those that people look for.
local SOUGHT = { false, false, false, false, false, false, false, false, true, true, true, true, false, true, true }
-- The state that the outside sees, as `JobState` numbers it.
local STATE = { 0, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 4, 5, 6, 7 }
-- Which of a queue's lists of kept jobs a final phase belongs to.
local KEPT = { [DONE] = 1, [CANCELLED] = 2, [EXPIRED] = 3, [DEAD] = 4 }

-- Times are microseconds; no time is later, and numbers up to here are exact.
local FOREVER = 9007199254740991
-- Jobs that one lease may set aside before it answers.
local MOST_ASIDE = 1024
-- Things that become due, of a kind, that one call does; the next call does the rest.
local MOST_DUE = 1000
-- Arguments of one command.
local MOST_ARGUMENTS = 4000

-- Fields of the partition's own record.
local NEXT_SEQ, NEXT_FACT, NOW, NEXT_QUEUE, DUE, HITS = 1, 2, 3, 4, 5, 6
-- Records of forgotten jobs with smaller numbers are needed by no reader; how far all readers are.
local FREE_SEQ, READ_BY_ALL = 7, 8
-- Queues that wait for a budget; callers that wait for work, by pool; callers that wait for facts.
local PARKED_QUEUES, WAITING_FOR, WAITING_LOG = 9, 10, 11
-- When facts had which numbers, so that they can be trimmed by age; when the next of these is noted.
local MARKS, NEXT_MARK = 12, 13
-- Parked jobs that were let go since a lease last looked; pools that ever had a queue.
local LET_GO_JOBS, POOLS = 14, 15

-- Set by `bind` at the first call: a library may not look at them while it is loaded.
local run, pack, unpack_msg, spack, sunpack, floor, concat, unpack_args, sort, sub, find, remove_at, min, max, format, byte
local EMPTY_KEY

-- What is due at a time: see `times`.
local sleepers, expiries, gates, forgets, sought, spent_pairs
-- The call that runs.
local K, now, meta, caller, keep_finished, keep_dead, keep_log
-- How many elements of a list are worth reading at once.
local want
-- Jobs by number, numbers by id, what of jobs that ended is needed to forget them, jobs that changed.
local J, ID, ENDED, changed
-- Queues by number and by name, groups, chains, budgets; remembered requests.
local Q, QN, G, C, B, R
-- Pool rings; pools whose ring got longer; queues with windows in which attempts began.
local rings, woken, started_in
-- Groups and queues that are no more; jobs of a chunk of numbers that came or went.
local dropped_groups, removed_queues, chunks
-- The number that the next job had when the call began.
local seq_before
-- A lease gave up and is to be asked again; more is due than one call does.
local gave_up, overdue
-- Jobs whose records are part of the answer.
local told

local function bind()
  run, pack, unpack_msg, spack, sunpack = redis.call, cmsgpack.pack, cmsgpack.unpack, struct.pack, struct.unpack
  floor, concat, unpack_args, sort, sub = math.floor, table.concat, unpack, table.sort, string.sub
  find, remove_at, min, max, format, byte = string.find, table.remove, math.min, math.max, string.format, string.byte
  EMPTY_KEY = string.rep('\0', 8)
  local _, _, run_id = find(run('INFO', 'server'), 'run_id:(%x+)')
  left.server = run_id
end

-- The keys of a partition; `base` ends with its hash tag.
local keys_of = {}
local function keys(base)
  local known = keys_of[base]
  if not known then
    known = {
      base = base, job = base .. ':job', standing = base .. ':at', id = base .. ':id', gone = base .. ':gone',
      chunk = base .. ':chunk', chunks = base .. ':chunks', sought = base .. ':sought',
      queue = base .. ':queue', limits = base .. ':limits', name = base .. ':name', names = base .. ':names',
      group = base .. ':group', chain = base .. ':chain', pair = base .. ':pair', pacing = base .. ':pacing:',
      budget = base .. ':budget', spent = base .. ':spent:', sleep = base .. ':sleep', expiry = base .. ':expiry',
      gate = base .. ':gate', crowd = base .. ':crowd:', request = base .. ':request', forget = base .. ':forget', log = base .. ':log',
      reader = base .. ':reader', wake = base .. ':wake', ring = base .. ':ring:', lane = base .. ':lane:',
      kept = base .. ':kept:', parked = base .. ':parked:', ghost = ':x', window = base .. ':window:',
    }
    keys_of[base] = known
  end
  return known
end

-- Runs a command on a key with any number of arguments, in several where they are too many for one.
local function run_many(command, key, arguments)
  local count = #arguments
  if count <= MOST_ARGUMENTS then
    if count > 0 then run(command, key, unpack_args(arguments, 1, count)) end
    return
  end
  for from = 1, count, MOST_ARGUMENTS do
    run(command, key, unpack_args(arguments, from, min(from + MOST_ARGUMENTS - 1, count)))
  end
end

-- Reads many fields of a hash, in the order of `fields`.
local function read_many(key, fields)
  local count = #fields
  if count <= MOST_ARGUMENTS then return run('HMGET', key, unpack_args(fields, 1, count)) end
  local all = {}
  for from = 1, count, MOST_ARGUMENTS do
    local part = run('HMGET', key, unpack_args(fields, from, min(from + MOST_ARGUMENTS - 1, count)))
    for i = 1, #part do all[from + i - 1] = part[i] end
  end
  return all
end

local function after(time, duration)
  local at = time + duration
  return at < FOREVER and at or FOREVER
end

-- A whole number as text: Lua's own text is cut to 14 digits. The last one is remembered: leases end together.
local last_number, last_text
local function text_of(number)
  if number ~= last_number then last_number, last_text = number, format('%.0f', number) end
  return last_text
end
