-- Readers of the log, and what is dropped behind them.

-- Notes now and then which number the next fact has, and drops facts that all have read and that are old enough.
local function trim()
  local marks = meta[MARKS]
  while #marks >= 4 and marks[3] <= now - keep_log do
    remove_at(marks, 1)
    remove_at(marks, 1)
  end
  local old = keep_log == 0 and meta[NEXT_FACT] or (#marks > 0 and marks[1] <= now - keep_log and marks[2] or 1)
  local through = min(meta[READ_BY_ALL], old - 1)
  if through < 1 then return end
  local held = run('XREVRANGE', K.log, text_of(through + 1), '-', 'COUNT', 1)
  if held[1] then run('XTRIM', K.log, 'MINID', held[1][1]) end
end

-- Drops records of forgotten jobs that every reader is past: a part of them.
local function sweep_gone()
  local sids = run('LRANGE', K.gone, 0, MOST_DUE - 1)
  local count = 0
  while sids[count + 1] and times.number(sids[count + 1]) < meta[FREE_SEQ] do count = count + 1 end
  if count == 0 then return end
  run('HDEL', K.job, unpack_args(sids, 1, count))
  run('LPOP', K.gone, count)
  if count == MOST_DUE then gave_up = true end
end

-- How far all readers are; where there are none, nobody needs the log.
local function look_at_readers()
  local readers, least = run('HVALS', K.reader), FOREVER
  for i = 1, #readers do least = min(least, tonumber(readers[i])) end
  meta[READ_BY_ALL] = least
  if least >= meta[NEXT_FACT] - 1 then
    meta[FREE_SEQ] = #readers == 0 and FOREVER or seq_before
    return
  end
  -- What had been accepted before the first entry that somebody has not read.
  local held = run('XREVRANGE', K.log, text_of(least + 1), '-', 'COUNT', 1)
  local _, before = 0, 0
  if held[1] then _, before = sunpack('>I8I8', held[1][2][2]) end
  meta[FREE_SEQ] = before
end

-- These and no others read the log from now on.
function upkeep.readers(names)
  local wanted, known = {}, run('HKEYS', K.reader)
  for i = 1, #names do
    wanted[names[i]] = true
    run('HSETNX', K.reader, names[i], 0)
  end
  for i = 1, #known do
    if not wanted[known[i]] then run('HDEL', K.reader, known[i]) end
  end
  look_at_readers()
end

-- A reader has made all up to a fact its own.
function upkeep.acknowledge(reader, through)
  run('HSET', K.reader, reader, text_of(through))
  look_at_readers()
  sweep_gone()
  trim()
end

-- Forgets what callers were answered that are long gone: a few of them. Their process was killed; one that ends in order
-- has it forgotten. A spool's callers are never forgotten for their age: its node may be off for weeks, and asks what became
-- of its last call when it is back. So of each process with a spool that was killed a record stays, of a few bytes a job of
-- its last call.
local FORGET_CALLER = 49 * 3600 * 1000000
-- What a spool's caller has in its last two bits.
local SPOOLS = 2
local function sweep_callers()
  local fields, looked = run('HKEYS', K.base), 0
  for i = 1, #fields do
    if #fields[i] == 8 and looked < 64 and byte(fields[i], 8) % 4 ~= SPOOLS then
      looked = looked + 1
      -- The number of the call stands before what it was answered.
      local last = unpack_msg(sub(run('HGET', K.base, fields[i]), 9))
      if last[3] <= now - FORGET_CALLER then run('HDEL', K.base, fields[i]) end
    end
  end
end

-- What is done now and then.
function upkeep.now_and_then()
  if now < meta[NEXT_MARK] then return end
  meta[NEXT_MARK] = after(now, max(floor(keep_log / 8), 1000000))
  local marks = meta[MARKS]
  marks[#marks + 1] = now
  marks[#marks + 1] = meta[NEXT_FACT]
  sweep_gone()
  sweep_callers()
  trim()
end
