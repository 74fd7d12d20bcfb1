-- Stores of files whose content these records know all of, for they knew them when nothing was in them: only there is a file
-- that no row speaks of nobody's. Stores that were in use before are taken for known.
CREATE TABLE media_places (
    place TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
INSERT INTO media_places (place) SELECT DISTINCT place FROM media WHERE place IS NOT NULL;
