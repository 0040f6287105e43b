-- Figures of the other classes without some.
CREATE TABLE class_removals (
    run_id    VARCHAR NOT NULL,
    removed   VARCHAR NOT NULL,
    method    VARCHAR NOT NULL,
    n_classes INTEGER NOT NULL,
    n_tracks  BIGINT  NOT NULL,
    accuracy  DOUBLE  NOT NULL,
    macro_f1  DOUBLE  NOT NULL,
    roc_auc   DOUBLE,
    chance    DOUBLE  NOT NULL,
    gain      DOUBLE  NOT NULL
);
COMMENT ON TABLE class_removals IS 'Figures of the other classes without some';
COMMENT ON COLUMN class_removals.run_id IS 'Run of the stage analyse that found it; its parameters and data are in runs';
COMMENT ON COLUMN class_removals.removed IS 'Classes left out, with commas; empty when all are there';
COMMENT ON COLUMN class_removals.method IS 'rescored: old probabilities restricted to the other classes; retrained: learned again without them';
COMMENT ON COLUMN class_removals.n_classes IS 'Classes that are left';
COMMENT ON COLUMN class_removals.n_tracks IS 'Tracks that are left';
COMMENT ON COLUMN class_removals.accuracy IS 'Share of tracks with the right class';
COMMENT ON COLUMN class_removals.macro_f1 IS 'Mean of the F1 scores of the classes';
COMMENT ON COLUMN class_removals.roc_auc IS 'Mean of the ROC-AUC of the classes';
COMMENT ON COLUMN class_removals.chance IS 'Accuracy of always guessing the commonest class';
COMMENT ON COLUMN class_removals.gain IS 'accuracy minus the mean over all subsets of as many suspected classes';
