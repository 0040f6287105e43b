-- Blind questions about how alike tracks sound: which of two sounds more like a third?
CREATE TABLE triplets (
    sample       VARCHAR NOT NULL,
    position     INTEGER NOT NULL,
    track_id     VARCHAR NOT NULL,
    first_id     VARCHAR NOT NULL,
    second_id    VARCHAR NOT NULL,
    run_id       VARCHAR,
    config       VARCHAR NOT NULL,
    config_hash  VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE triplets IS 'Which of two tracks sounds more like a third? By sample';
COMMENT ON COLUMN triplets.sample IS 'Name of the sample';
COMMENT ON COLUMN triplets.position IS 'Place in the order in which it is asked, from 1';
COMMENT ON COLUMN triplets.track_id IS 'Track that the other two are compared with';
COMMENT ON COLUMN triplets.first_id IS 'One of the two, played as A';
COMMENT ON COLUMN triplets.second_id IS 'The other, played as B';
COMMENT ON COLUMN triplets.run_id IS 'Run by whose embeddings one of the two is a near neighbour and the other is not; NULL where all three were drawn at random';
COMMENT ON COLUMN triplets.config IS 'Configuration of the draw, as JSON, with the seed';
COMMENT ON COLUMN triplets.config_hash IS 'Hash of the configuration';
COMMENT ON COLUMN triplets.code_version IS 'Version of Phonolake that drew it';
