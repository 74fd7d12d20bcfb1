-- Adaptive slow-down: how much of its rate a queue uses after the other side has refused an attempt as too fast.
--
-- The machine's rules: each refusal cuts the share, in proportion to what it answers; the share comes back in whole
-- seconds along a cubic curve. See `machine/throttle.rs`.

local WHOLE, LEAST, MIDDLE, LEAST_RISE, RESTLESS, SECOND = 1000, 50, 6, 5, 6000000, 1000000

-- Towards zero, as the machine divides.
local function quotient(a, b)
  return a < 0 and -floor(-a / b) or floor(a / b)
end

-- When the queue went on after the last cut, or goes on; nil where it was never cut.
local function goes_on_at(r)
  return r[CUT_AT] ~= 0 and max(r[CUT_AT], r[THROTTLED]) or nil
end

-- The share of the configured rate in force at a time, in thousandths.
function throttle.rate(q, at)
  local r = q.r
  local from = goes_on_at(r)
  if not from then return WHOLE end
  local seconds = min(floor(max(at - from, 0) / SECOND), 1000)
  local rise = max(quotient(r[CUT_FROM] - r[CUT_TO], 2), LEAST_RISE)
  local past = seconds - MIDDLE
  return min(r[CUT_TO] + quotient(rise * (MIDDLE ^ 3 + past * past * past), MIDDLE ^ 3), WHOLE)
end

-- When the share may rise next; nil where it is whole.
function throttle.next_step(q, at)
  local from = goes_on_at(q.r)
  if not from or throttle.rate(q, at) >= WHOLE then return nil end
  return after(from, (floor(max(at - from, 0) / SECOND) + 1) * SECOND)
end

-- A refusal that asks for a stop of `wait`. Attempts that were under way together are refused together.
function throttle.refused(q, wait)
  local r = q.r
  local cut = r[CUT_AT]
  if not (cut ~= 0 and (r[THROTTLED] > now or max(now - cut, 0) < q.limits.throttle_wait)) then
    local share, from = throttle.rate(q, now), goes_on_at(r)
    local restless = from and max(now - from, 0) < RESTLESS
    r[CUT_AT], r[CUT_FROM] = now, share
    r[CUT_TO] = max(restless and floor(share / 2) or floor(share * 9 / 10), LEAST)
  end
  r[THROTTLED] = max(r[THROTTLED], after(now, wait))
  queues.touch(q)
end
