-- Sliding windows: never more than `max` starts in any span of `window`, exactly; spread where they are short; and the
-- pace per key.
--
-- A window's starts are a list of entries (first start merged in, last one, how many), oldest first. Windows with many
-- starts merge those within 1/512 of the window into one entry with the latest of their times: memory is bounded, and
-- the error is on the safe side. A window of up to two seconds is used in slices: a twentieth of it at once, and the
-- next slice when nine tenths of the slice's share of the window are over (see `machine/spread.rs`).
--
-- A queue's record holds of each window the number of its list, its length, how many starts it holds, when the slice
-- in use began, and how many of it are taken: FIELDS numbers each.

local ENTRY, FIELDS = '>I8I8I4', 5
local ENTRIES = 512
local LONGEST_SPREAD, SLICES = 2000000, 20
-- A slice that begins later than so many slices after it was due begins anew; an earlier one keeps the schedule.
local LATE = 2
-- After so long the first slice is longer, by a share of the window: a connection is made for its first call.
local REST, COLD_SHARE = 10000000, 5

-- Reads entries up to the `at`-th of what Redis holds.
local function read_entries(ring, at)
  while ring.read < at do
    local window = run('LRANGE', ring.key, ring.read, ring.read + 63)
    if #window == 0 then error('window ' .. ring.key .. ' is shorter than it should be') end
    for i = 1, #window do
      local first, last, count = sunpack(ENTRY, window[i])
      ring.entries[ring.read + i] = { first, last, count }
    end
    ring.read = ring.read + #window
  end
end

-- The windows of a queue.
function windows.of(q)
  if not q.windows then
    queues.use(q)
    q.windows = {}
    local stored, configured = q.r[WINDOWS], q.limits.windows
    for i = 1, #configured do
      local at = FIELDS * (i - 1)
      q.windows[i] = {
        list = stored[at + 1], length = stored[at + 2], starts = stored[at + 3], began = stored[at + 4],
        taken = stored[at + 5], max = configured[i][1], window = configured[i][2],
        key = K.window .. q.k .. stored[at + 1], entries = {}, read = 0, held = stored[at + 2], passed = 0,
        taken_back = 0, added = {},
      }
    end
  end
  return q.windows
end

-- How many entries Redis still holds.
local function left(ring)
  return ring.held - ring.passed - ring.taken_back
end

-- The n-th entry, or nil. What Redis holds comes first, then what the call added or took back to change it.
local function entry(ring, n)
  local held = left(ring)
  if n <= held then
    local at = ring.passed + n
    if at > ring.read then read_entries(ring, at) end
    return ring.entries[at]
  end
  return ring.added[n - held]
end

local function span_of(ring, margin)
  return ring.window + floor(ring.window / 1000) * margin
end

-- Drops what the window does not need any more.
local function forget(ring, margin)
  local span = span_of(ring, margin)
  while true do
    local oldest = entry(ring, 1)
    if not oldest or oldest[2] + span > now then return end
    if left(ring) > 0 then ring.passed = ring.passed + 1 else remove_at(ring.added, 1) end
    ring.length = ring.length - 1
    ring.starts = ring.starts - oldest[3]
  end
end

-- The newest entry that Redis holds, read for itself: the ones before it need not be.
local function newest_held(ring)
  if left(ring) == 0 then return nil end
  local at = ring.held - ring.taken_back
  if ring.read >= at then return ring.entries[at] end
  local first, last, count = sunpack(ENTRY, run('LINDEX', ring.key, at - 1))
  return { first, last, count }
end

-- Takes the newest entry that Redis holds back, to be changed.
local function take_back(ring, newest)
  for i = #ring.added, 1, -1 do ring.added[i + 1] = ring.added[i] end
  ring.added[1] = newest
  ring.taken_back = ring.taken_back + 1
end

local function record(ring)
  local quantum = ring.max <= ENTRIES and 0 or floor(ring.window / ENTRIES)
  local last = ring.added[#ring.added] or newest_held(ring)
  ring.starts = ring.starts + 1
  if last and (now == last[2] or now - last[1] < quantum) then
    if #ring.added == 0 then take_back(ring, last) end
    last[2] = max(now, last[2])
    last[3] = last[3] + 1
  else
    ring.added[#ring.added + 1] = { now, now, 1 }
    ring.length = ring.length + 1
  end
end

-- Records a start in all windows of a queue; whoever has it made durable says if that took long.
function windows.record(q)
  started_in[q.ix] = true
  local all, margin = windows.of(q), q.limits.margin
  for i = 1, #all do
    forget(all[i], margin)
    record(all[i])
  end
end

-- How many starts a window allows at a share of its rate.
local function allowed(ring, rate)
  return max(floor(ring.max * rate / 1000), 1)
end

-- The first time at which `reserved + 1` more starts have room in a window, seen from `at`.
local function free_at(ring, reserved, rate, margin, at)
  local most, span = allowed(ring, rate), span_of(ring, margin)
  local n, in_window = 1, ring.starts
  local oldest = entry(ring, 1)
  while oldest and oldest[2] + span <= at do
    in_window = in_window - oldest[3]
    n = n + 1
    oldest = entry(ring, n)
  end
  local surplus = in_window + reserved + 1 - most
  if surplus <= 0 then return at end
  while oldest do
    if oldest[2] + span > at then
      if oldest[3] >= surplus then return oldest[2] + span end
      surplus = surplus - oldest[3]
    end
    n = n + 1
    oldest = entry(ring, n)
  end
  -- Only what is reserved stands in the way.
  return FOREVER
end

-- How many one slice holds, and when the next one begins after it; nil where the window is all the spreading there is.
local function slice_of(ring, rate)
  local most = allowed(ring, rate)
  if ring.window > LONGEST_SPREAD or most < 2 then return nil end
  local slice = floor((most + SLICES - 1) / SLICES)
  return slice, floor(floor(ring.window * 9 / 10) * slice / most)
end

-- A job is leased: it takes a turn in the short windows.
function windows.take_slice(q)
  local all = windows.of(q)
  local rate = #all > 0 and throttle.rate(q, now)
  for i = 1, #all do
    local ring = all[i]
    local most, span = slice_of(ring, rate)
    if most then
      local due = ring.began + span
      if ring.taken == 0 or now - due >= REST then
        ring.began, ring.taken = now + floor(ring.window / COLD_SHARE), 0
      elseif now - due >= LATE * span then
        ring.began, ring.taken = now, 0
      elseif now >= due then
        ring.began, ring.taken = due, 0
      end
      ring.taken = ring.taken + 1
    end
  end
end

-- When all windows have room for one more start beside `reserved` others, at the rate that throttling allows and that
-- recovers meanwhile; and a slice too, where it is `spread`. And the window that decides.
function windows.free_at(q, reserved, spread)
  local all, margin, at, decided = windows.of(q), q.limits.margin, now, nil
  while true do
    local rate, room, turn = throttle.rate(q, at), at, at
    local by_room, by_turn
    for i = 1, #all do
      local ring = all[i]
      local free = free_at(ring, reserved, rate, margin, at)
      if free > room then room, by_room = free, ring end
      local most, span = slice_of(ring, rate)
      if spread and most and ring.taken >= most and ring.began + span > turn then
        turn, by_turn = ring.began + span, ring
      end
    end
    if turn > room then room, by_room = turn, by_turn end
    decided = by_room or decided
    local step = throttle.next_step(q, at)
    if not step or step >= room then return room, decided end
    at = step
  end
end

-- Starts that were recorded since `from` were durable at `to`: no call could begin before.
function windows.put_off(q, from, to)
  local all = windows.of(q)
  for i = 1, #all do
    local ring = all[i]
    local at = #ring.added
    while true do
      local last = ring.added[at]
      if not last then
        last = newest_held(ring)
        if last and last[2] >= from then
          take_back(ring, last)
          at = 1
        end
      end
      if not last or last[2] < from then break end
      last[2] = max(last[2], to)
      at = at - 1
    end
  end
end

local function store_ring(ring)
  if ring.passed > 0 then run('LPOP', ring.key, ring.passed) end
  if ring.taken_back > 0 then run('RPOP', ring.key, ring.taken_back) end
  if #ring.added > 0 then
    local packed = {}
    for i = 1, #ring.added do packed[i] = spack(ENTRY, ring.added[i][1], ring.added[i][2], ring.added[i][3]) end
    run_many('RPUSH', ring.key, packed)
  end
end

function windows.store(q)
  local stored = {}
  for i = 1, #q.windows do
    local ring = q.windows[i]
    store_ring(ring)
    local n = #stored
    stored[n + 1], stored[n + 2], stored[n + 3], stored[n + 4], stored[n + 5] =
      ring.list, ring.length, ring.starts, ring.began, ring.taken
  end
  q.r[WINDOWS] = stored
end

-- Changes what is allowed; starts that were recorded are kept, from the window that remembers the most, and a window
-- that stays keeps its slice. Lists are written at once.
function windows.configure(q, configured)
  local old = windows.of(q)
  for i = 1, #old do forget(old[i], q.limits.margin) end
  windows.store(q)
  local longest
  for i = 1, #old do
    if not longest or old[i].window >= longest.window then longest = old[i] end
  end
  local stored, kept = {}, {}
  for i = 1, #configured do
    local source, same = longest, nil
    for n = #old, 1, -1 do
      if old[n].max == configured[i][1] and old[n].window == configured[i][2] then same = old[n] end
    end
    source = same or source
    local number = q.r[NEXT_WINDOW]
    if same and not kept[same] then
      number, kept[same] = same.list, true
    else
      q.r[NEXT_WINDOW] = number + 1
      if source then run('COPY', source.key, K.window .. q.k .. number) end
    end
    local n = #stored
    stored[n + 1], stored[n + 2], stored[n + 3], stored[n + 4], stored[n + 5] = number, source and source.length or 0,
      source and source.starts or 0, same and same.began or 0, same and same.taken or 0
  end
  for i = 1, #old do
    if not kept[old[i]] then run('DEL', old[i].key) end
  end
  q.r[WINDOWS], q.windows = stored, false
end

-- Forgets all starts of a queue that is no more.
function windows.drop(q)
  local all = windows.of(q)
  for i = 1, #all do run('DEL', all[i].key) end
  q.windows = false
end

-- All windows of a queue, to be shown: of each when its slice began, how many of it are taken, and its entries.
function windows.shown(q)
  local all, shown = windows.of(q), {}
  for i = 1, #all do
    local entries = {}
    for n = 1, all[i].length do entries[n] = entry(all[i], n) end
    shown[i] = { all[i].began, all[i].taken, entries }
  end
  return shown
end

-- The pace per key: the theoretical arrival time of the key's next start; nil where it is not ahead of the present.
local function ahead(q, key)
  local member = q.k .. key
  local at = spent_pairs.set[member]
  if at == nil then
    at = run('ZSCORE', K.pair, member)
    at = at and tonumber(at)
  end
  return at or nil
end

-- When a key may start again, or nil where nothing is known to hold it.
function pairs_of.free_at(q, key)
  local pair = q.limits.pair
  local at = pair and ahead(q, key)
  return at and at - pair[1] * (pair[2] - 1)
end

function pairs_of.record(q, key)
  local pair = q.limits.pair
  if not pair then return end
  times.put(spent_pairs, q.k .. key, max(ahead(q, key) or 0, now) + pair[1])
  q.paced = true
end
