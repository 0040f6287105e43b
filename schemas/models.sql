-- One row per trained or imported model; the weights lie in LAKE/models/RUN_ID.
CREATE TABLE models (
    run_id       VARCHAR NOT NULL,
    model        VARCHAR NOT NULL,
    input        VARCHAR NOT NULL,
    labels       VARCHAR[] NOT NULL,
    split        VARCHAR NOT NULL,
    test_fold    SMALLINT,
    card         VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
COMMENT ON TABLE models IS 'One row per trained or imported model';
COMMENT ON COLUMN models.run_id IS 'Run that trained or imported it; its weights are in LAKE/models/RUN_ID';
COMMENT ON COLUMN models.model IS 'Name in the registry of models, of the feature set that is used as it is, or of a model whose predictions were imported';
COMMENT ON COLUMN models.input IS 'Input: spectrogram:NAME, features:NAME, audio:SR or embeddings:RUN_ID; import:FILE if only its predictions or vectors were imported';
COMMENT ON COLUMN models.labels IS 'Labels in the order of its outputs; empty when it only embeds';
COMMENT ON COLUMN models.split IS 'Split it was trained on';
COMMENT ON COLUMN models.test_fold IS 'Fold that was held out; NULL for a fixed split';
COMMENT ON COLUMN models.card IS 'The model card as JSON: recipe, seed, data snapshot';
COMMENT ON COLUMN models.code_version IS 'Version of Phonolake that wrote the row';
