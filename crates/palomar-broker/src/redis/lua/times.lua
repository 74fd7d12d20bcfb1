-- Sorted sets of what is due at a time, as a call sees them: changes are kept beside what Redis holds until the end.
--
-- Members are of one width, high bytes first, so that what is due together leaves in the order of its numbers.
-- The partition's record holds a time before which nothing is due: an ordinary call need not look.

function times.begin()
  sleepers = { key = K.sleep, set = {}, wakes = true }
  expiries = { key = K.expiry, set = {}, wakes = true }
  gates = { key = K.gate, set = {}, wakes = true }
  forgets = { key = K.forget, set = {}, wakes = true }
  sought = { key = K.sought, set = {}, wakes = false }
  spent_pairs = { key = K.pair, set = {}, wakes = false }
end

function times.put(times_of, member, at)
  times_of.set[member] = at
  if times_of.wakes and at < meta[DUE] then meta[DUE] = at end
  -- Whoever is at what is due sees to it as well.
  if times_of.late and at <= now then times_of.late[#times_of.late + 1] = { at, member } end
end

function times.drop(times_of, member)
  times_of.set[member] = false
end

-- Members that are due, first to last, and whether more are.
function times.due(times_of)
  local due, set = {}, times_of.set
  local held = run('ZRANGEBYSCORE', times_of.key, '-inf', text_of(now), 'LIMIT', 0, MOST_DUE, 'WITHSCORES')
  for i = 1, #held, 2 do
    if set[held[i]] == nil then due[#due + 1] = { tonumber(held[i + 1]), held[i] } end
  end
  local mixed = false
  for member, at in pairs(set) do
    if at and at <= now then
      due[#due + 1] = { at, member }
      mixed = true
    end
  end
  if mixed then sort(due, times.before) end
  return due, #held == 2 * MOST_DUE
end

-- Whether one of two, each a time and a member, is first.
function times.before(a, b)
  if a[1] ~= b[1] then return a[1] < b[1] end
  return times.number(a[2]) < times.number(b[2])
end

-- What members of one width are ordered by.
function times.number(member)
  return (sunpack('>I' .. min(#member, 6), member))
end

-- A time before which nothing is due any more, after all that is due now was done.
function times.next(times_of)
  local next_at = FOREVER
  local held = run('ZRANGEBYSCORE', times_of.key, '(' .. text_of(now), '+inf', 'LIMIT', 0, 1, 'WITHSCORES')
  if held[2] then next_at = tonumber(held[2]) end
  for _, at in pairs(times_of.set) do
    if at and at < next_at then next_at = at end
  end
  return next_at
end

function times.store(times_of)
  local added, dropped = {}, {}
  for member, at in pairs(times_of.set) do
    if at then
      added[#added + 1] = text_of(at)
      added[#added + 1] = member
    else
      dropped[#dropped + 1] = member
    end
  end
  run_many('ZREM', times_of.key, dropped)
  run_many('ZADD', times_of.key, added)
end

function times.store_all()
  times.store(sleepers)
  times.store(expiries)
  times.store(gates)
  times.store(forgets)
  times.store(sought)
  times.store(spent_pairs)
end
