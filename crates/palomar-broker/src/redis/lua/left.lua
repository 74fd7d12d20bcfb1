-- What a call leaves loaded for the next one on its partition.
--
-- Each call writes the partition's record, and in it by which call on which server it was written. Where the record is the
-- one that the last call here has written, nothing has been written since, and all that was loaded is as it was. After
-- anything else (another library, a server that was a replica for a while, keys that were removed or restored) it is not,
-- and all is read anew. The present and counters would not do: a clock that was set back stands still for a while, and a
-- lease or its renewal counts nothing.
--
-- A call takes what was left, and leaves it again when all is written: an error, or whoever kills the call, leaves
-- nothing. A library that is loaded again begins with nothing.

-- In the partition's record: the call that wrote it, and the server that ran it. No two writes have the same.
local WRITTEN_BY = 16
-- What was left, by the partition's base, and how much was read for that of all.
local of_partition, size = {}, 0
-- Of more jobs than so many of a partition nothing stays, since a large heap costs every call more than reading a few jobs
-- again; after so many reads for all partitions, nothing at all.
local MOST_JOBS, MOST_LEFT = 1024, 65536

-- Takes up what was left where it still holds, or begins with nothing.
function left.take_up(record)
  local before = of_partition[K.base]
  if before then
    of_partition[K.base] = nil
    size = size - before.jobs - before.queues
    if before.record == record then
      meta, J, ID, ENDED = before.meta, before.J, before.ID, before.ENDED
      Q, QN, G, C = before.Q, before.QN, before.G, before.C
      store.jobs, store.queues = before.jobs, before.queues
      return
    end
  end
  meta, J, ID, ENDED, Q, QN, G, C = unpack_msg(record), {}, {}, {}, {}, {}, {}, {}
  store.jobs, store.queues = 0, 0
end

-- Leaves to the next call what this one has loaded.
function left.leave(record)
  jobs.rest()
  chains.rest()
  groups.rest()
  queues.rest()
  if store.jobs > MOST_JOBS then J, ID, ENDED, C, store.jobs = {}, {}, {}, {}, 0 end
  size = size + store.jobs + store.queues
  if size > MOST_LEFT then
    of_partition, size = {}, 0
    return
  end
  of_partition[K.base] = {
    record = record, meta = meta, J = J, ID = ID, ENDED = ENDED, Q = Q, QN = QN, G = G, C = C, jobs = store.jobs,
    queues = store.queues,
  }
end

-- The partition's record, as a call writes it: the caller and the call's number.
function left.record(call)
  meta[WRITTEN_BY] = call .. left.server
  return pack(meta)
end
