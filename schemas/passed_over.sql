-- Files under the root of a folder that no recording was made of, by the ending of their names: written by ingest.
CREATE TABLE passed_over (
    dataset VARCHAR NOT NULL,
    ending  VARCHAR NOT NULL,
    files   BIGINT  NOT NULL,
    example VARCHAR NOT NULL
);
COMMENT ON TABLE passed_over IS 'Files that the last ingest of a folder passed over, by ending';
COMMENT ON COLUMN passed_over.dataset IS 'Ingested dataset';
COMMENT ON COLUMN passed_over.ending IS 'Ending of their names in lower case, with the dot; empty where there is none';
COMMENT ON COLUMN passed_over.files IS 'How many there are';
COMMENT ON COLUMN passed_over.example IS 'One of them';
