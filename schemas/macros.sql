-- Table macros of the catalog: SELECT * FROM neighbors('fma:000002', k := 5);

-- Models with embeddings, newest first; the first is what neighbors() uses unless told otherwise.
CREATE VIEW embedding_models AS
SELECT e.model, e.run_id, e.n_tracks, r.finished_at
FROM (SELECT model, run_id, count(*) AS n_tracks FROM embeddings GROUP BY ALL) AS e
LEFT JOIN runs AS r USING (run_id)
ORDER BY r.finished_at DESC NULLS LAST, e.run_id;

-- Licence of the model, vectors and predictions of a run, and where they come from. What learned from the
-- vectors of another run stands under the licence of that one; 'own' is what was trained in this lake on what lies in it.
CREATE VIEW model_licences AS
WITH RECURSIVE below AS (
    SELECT run_id, model, run_id AS made_by, input, card, 0 AS depth FROM models
    UNION ALL
    SELECT b.run_id, b.model, m.run_id, m.input, m.card, b.depth + 1
    FROM below AS b JOIN models AS m ON b.input = 'embeddings:' || m.run_id WHERE b.depth < 16
), deepest AS (FROM below QUALIFY depth = max(depth) OVER (PARTITION BY run_id))
SELECT run_id, model,
    coalesce(card->>'$.licence', card->>'$.weights.licence',
        CASE WHEN coalesce(card->>'$.kind', '') NOT IN ('vectors', 'predictions') AND (card->'$.weights') IS NULL THEN 'own'
        END) AS licence,
    coalesce(card->>'$.origin', card->>'$.weights.url') AS origin
FROM deepest;
COMMENT ON VIEW model_licences IS 'Licence of the model, vectors and predictions of a run';
COMMENT ON COLUMN model_licences.licence IS 'As stated; own if trained in this lake; NULL if not stated';
COMMENT ON COLUMN model_licences.origin IS 'Address, paper or model that it comes from';

-- The k tracks most alike by cosine similarity of their embeddings: exact, over every track.
-- `model_or_run` names a model or a run; the newest model with embeddings by default.
CREATE MACRO neighbors(id, k := 10, model_or_run := NULL) AS TABLE
WITH chosen AS (
    SELECT m.run_id FROM embedding_models AS m
    WHERE model_or_run IS NULL OR m.model = model_or_run OR m.run_id = model_or_run
    ORDER BY m.finished_at DESC NULLS LAST, m.run_id LIMIT 1
), query AS (
    SELECT e.run_id, e.embedding FROM embeddings AS e JOIN chosen USING (run_id) WHERE e.track_id = id
)
-- A zero vector is like nothing: its cosine is not a number, which would come first.
SELECT e.track_id, coalesce(nullif(list_cosine_similarity(e.embedding, q.embedding), 'nan'), 0) AS similarity, e.model
FROM embeddings AS e JOIN query AS q USING (run_id)
WHERE e.track_id <> id
ORDER BY similarity DESC, e.track_id
LIMIT k;

-- Pairs of tracks in the neighbour graph (`phonolake neighbours graph`) that are at least so alike; each pair once.
CREATE MACRO near_duplicates(min_similarity := 0.98, model_or_run := NULL) AS TABLE
SELECT least(n.track_id, n.other_id) AS track_id, greatest(n.track_id, n.other_id) AS other_id,
    max(n.similarity) AS similarity, n.model, n.run_id
FROM neighbours AS n
WHERE n.similarity >= min_similarity AND (model_or_run IS NULL OR n.model = model_or_run OR n.run_id = model_or_run)
GROUP BY ALL ORDER BY similarity DESC, track_id, other_id;

-- The k most probable labels of a track by the newest run that scored it, or by `model_or_run`.
CREATE MACRO top_tags(id, k := 5, model_or_run := NULL) AS TABLE
WITH scored AS (
    SELECT p.* FROM predictions AS p
    WHERE p.track_id = id AND (model_or_run IS NULL OR p.model = model_or_run OR p.run_id = model_or_run)
), chosen AS (
    SELECT s.run_id FROM (SELECT DISTINCT run_id FROM scored) AS s LEFT JOIN runs AS r USING (run_id)
    ORDER BY r.finished_at DESC NULLS LAST, s.run_id LIMIT 1
)
SELECT s.label, s.probability, s.model, s.part FROM scored AS s JOIN chosen USING (run_id)
ORDER BY s.probability DESC, s.label
LIMIT k;

-- What models said of the tracks that they held out (part 'test'). Of the trainings of a model on one source of labels that
-- held a track out, the newest counts, as everywhere a model's name stands for its newest run.
CREATE MACRO held_out(model_or_run := NULL) AS TABLE
WITH said AS (
    SELECT p.track_id, p.label, p.probability, p.model, p.run_id FROM predictions AS p
    WHERE p.part = 'test' AND (model_or_run IS NULL OR p.model = model_or_run OR p.run_id = model_or_run)
), trainings AS (
    SELECT s.run_id, coalesce(m.card->>'$.config.labels', 'dataset') AS label_source,
        row_number() OVER (ORDER BY r.finished_at NULLS FIRST, s.run_id DESC) AS place
    FROM (SELECT DISTINCT run_id FROM said) AS s LEFT JOIN runs AS r USING (run_id) LEFT JOIN models AS m USING (run_id)
), newest AS (
    SELECT t.track_id, t.model, l.label_source, max(l.place) AS place
    FROM (SELECT DISTINCT track_id, model, run_id FROM said) AS t JOIN trainings AS l USING (run_id) GROUP BY ALL
)
SELECT s.track_id, s.label, s.probability, s.model, s.run_id, l.label_source
FROM said AS s JOIN trainings AS l USING (run_id) JOIN newest AS n
ON n.track_id = s.track_id AND n.model = s.model AND n.place = l.place;

-- Ends of Wilson's interval of the share hits / trials; z standard deviations, 1.96 for 95 %.
CREATE MACRO wilson_low(hits, trials, z := 1.959963984540054) AS
CASE WHEN trials > 0 AND hits > 0
THEN (hits + z * z / 2 - z * sqrt(hits * (trials - hits) / trials + z * z / 4)) / (trials + z * z) ELSE 0.0 END;

CREATE MACRO wilson_high(hits, trials, z := 1.959963984540054) AS
CASE WHEN trials > 0 AND hits < trials
THEN (hits + z * z / 2 + z * sqrt(hits * (trials - hits) / trials + z * z / 4)) / (trials + z * z) ELSE 1.0 END;

-- Normalised co-occurrence C(i, j) = #(i and j) / #i of positive labels (Choi et al. 2018, Eq. 1), for all pairs that occur,
-- with its Wilson interval at 95 %, and how many times commoner j is among tracks with i than among all that have a label.
-- `said_by` names a source of labels; all of them by default.
CREATE MACRO cooccurrence(said_by := NULL) AS TABLE
WITH positive AS (
    SELECT DISTINCT l.track_id, l.label FROM labels AS l WHERE l.value = 1 AND (said_by IS NULL OR l.source = said_by)
), counts AS (SELECT label, count(*) AS n FROM positive GROUP BY label),
total AS (SELECT count(DISTINCT track_id) AS n FROM positive),
pairs AS (
    SELECT a.label AS label_i, b.label AS label_j, count(*) AS n_both
    FROM positive AS a JOIN positive AS b USING (track_id) WHERE a.label <> b.label GROUP BY ALL
)
SELECT p.label_i, p.label_j, p.n_both, i.n AS n_i, j.n AS n_j, p.n_both / i.n AS c,
    wilson_low(p.n_both, i.n) AS c_low, wilson_high(p.n_both, i.n) AS c_high, t.n * p.n_both / (i.n * j.n) AS lift
FROM pairs AS p JOIN counts AS i ON i.label = p.label_i JOIN counts AS j ON j.label = p.label_j CROSS JOIN total AS t
ORDER BY c DESC, n_both DESC, label_i, label_j;

-- What became of every wanted clip: its newest state, or `wanted` where it was not tried yet.
CREATE VIEW availability_now AS
SELECT w.track_id, w.dataset, w.ytid, w.start_seconds, w.end_seconds, w.labels, coalesce(a.state, 'wanted') AS state,
    a.detail, a.seen_at, a.seconds, a.peak_dbfs, a.other_id, coalesce(a.tries, 0) AS tries
FROM wanted AS w LEFT JOIN (
    SELECT *, count(*) OVER (PARTITION BY track_id) AS tries FROM availability
    QUALIFY row_number() OVER (PARTITION BY track_id ORDER BY seen_at DESC) = 1
) AS a ON a.track_id = w.track_id;

-- A label of a dataset and all labels below it, with their depth: the tracks of a parent are those of its children too.
-- SELECT track_id FROM labels WHERE label IN (SELECT label FROM label_tree('Musical instrument'));
CREATE MACRO label_tree(top) AS TABLE
WITH RECURSIVE below(dataset, label, depth) AS (
    SELECT v.dataset, v.label, 0 FROM vocabulary AS v WHERE v.label = top
    UNION
    SELECT v.dataset, v.label, b.depth + 1
    FROM vocabulary AS v JOIN below AS b ON v.dataset = b.dataset AND list_contains(v.parents, b.label)
    -- A hierarchy that somebody tied into a ring still comes to an end.
    WHERE b.depth < 32
)
SELECT b.dataset, b.label, min(b.depth) AS depth FROM below AS b GROUP BY b.dataset, b.label ORDER BY depth, label, dataset;

-- Labels with annotations laid over them. What most raters say counts; where they are divided or silent, the given label
-- stands. A label that was found on a track without it appears under each source that uses the label.
CREATE VIEW labels_resolved AS
WITH consensus AS (
    SELECT a.track_id, a.label, count(*) AS n_raters, avg(a.value) AS agreed FROM annotations AS a
    WHERE a.value IS NOT NULL GROUP BY ALL
), given AS (
    SELECT l.track_id, l.label, l.source, max(l.value) AS given FROM labels AS l GROUP BY ALL
), used AS (
    SELECT DISTINCT l.label, l.source FROM labels AS l WHERE l.label IN (SELECT c.label FROM consensus AS c)
), found AS (
    SELECT c.track_id, c.label, u.source, NULL AS given FROM consensus AS c JOIN used AS u USING (label)
    ANTI JOIN given AS g ON g.track_id = c.track_id AND g.label = c.label AND g.source = u.source
), pairs AS (SELECT * FROM given UNION ALL SELECT * FROM found)
SELECT p.track_id, p.label, p.source, p.given::TINYINT AS given,
    CASE WHEN c.agreed > 0.5 THEN 1 WHEN c.agreed < 0.5 THEN 0 END::TINYINT AS annotated,
    CASE WHEN c.agreed > 0.5 THEN 1 WHEN c.agreed < 0.5 THEN 0 ELSE coalesce(p.given, 0) END::TINYINT AS resolved,
    coalesce(c.n_raters, 0) AS n_raters
FROM pairs AS p LEFT JOIN consensus AS c USING (track_id, label);
COMMENT ON VIEW labels_resolved IS 'Labels with annotations laid over them';
COMMENT ON COLUMN labels_resolved.given IS 'As the source says: 1, 0, or NULL where it says nothing';
COMMENT ON COLUMN labels_resolved.annotated IS 'As most raters say: 1, 0, or NULL where they are divided or silent';
COMMENT ON COLUMN labels_resolved.resolved IS 'As annotated, else as given, else 0';
COMMENT ON COLUMN labels_resolved.n_raters IS 'Raters who answered 1 or 0';

-- What is said of tracks (value 1 or 0), by whom to believe: a source ('dataset', 'tags' ...), 'resolved' for the labels of
-- the dataset with annotations laid over them, or 'resolved:SOURCE' for those of another source.
CREATE MACRO labels_by(whom) AS TABLE
SELECT l.track_id, l.label, l.value FROM labels AS l WHERE l.source = whom
UNION ALL
SELECT r.track_id, r.label, r.resolved FROM labels_resolved AS r
WHERE r.source = CASE WHEN whom = 'resolved' THEN 'dataset' WHEN whom LIKE 'resolved:%' THEN substr(whom, 10) END;
