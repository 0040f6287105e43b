"""Which tracks belong on one side of a split: those of one artist, and those with the same recording.

`phonolake split` deals by these groups and `phonolake splits check` uses the same ones.
"""

import unicodedata

import duckdb

# An accent in decomposed text. Other marks, such as the vowels of Devanagari, distinguish names.
_ACCENTS = dict.fromkeys(range(0x0300, 0x0370))

# A dataset's own number takes precedence over the name: two artists may have one name, and one several spellings.
_ARTISTS = """
    CREATE OR REPLACE TEMP TABLE artist_of AS
    SELECT t.track_id,
        coalesce('number ' || t.dataset || ':' || nullif(m.artist_id, ''), 'name ' || nullif(f.folded, '')) AS artist,
        coalesce(t.artist, m.artist_id) AS artist_name,
        coalesce(t.dataset || ' number ' || nullif(m.album_id, ''), t.dataset || ' name ' || nullif(a.folded, ''))
            AS album,
        coalesce(t.album, m.album_id) AS album_name
    FROM tracks AS t LEFT JOIN metadata AS m USING (track_id)
    LEFT JOIN spellings AS f ON f.name = t.artist LEFT JOIN spellings AS a ON a.name = t.album
"""
# Tracks with identical samples are each paired with the first only, but all of them are duplicates.
_ALIKE = """
    CREATE OR REPLACE TEMP TABLE alike AS
    SELECT track_id AS one, other_id AS two, kind, similarity FROM duplicates
    UNION ALL
    SELECT a.other_id, b.other_id, 'exact', 1.0 FROM duplicates AS a JOIN duplicates AS b
    ON a.track_id = b.track_id AND a.other_id < b.other_id AND a.kind = 'exact' AND b.kind = 'exact'
"""


def folded(name: str) -> str:
    """A name without differences of spelling: case, accents, and extra spaces."""
    plain = unicodedata.normalize("NFKD", name).translate(_ACCENTS)
    return unicodedata.normalize("NFC", " ".join(plain.casefold().split()))


def relate(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary tables ``artist_of`` (artist and album of every track) and ``alike`` (pairs of duplicates).

    An artist is the dataset's number if there is one, else the folded name, which is the same in every dataset; NULL if
    none is stated. An album is identified within its dataset.
    """
    rows = connection.execute("SELECT artist FROM tracks UNION SELECT album FROM tracks").fetchall()
    names = [name for (name,) in rows if name is not None]
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE spellings AS "
        "SELECT unnest($1::VARCHAR[]) AS name, unnest($2::VARCHAR[]) AS folded",
        [names, [folded(name) for name in names]],
    )
    connection.execute(_ARTISTS)
    connection.execute(_ALIKE)


def groups(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The group of every track: tracks that share an artist or a recording, directly or through others.

    Returns
    -------
    dict
        By track id, a key that the tracks of one group share. A track without artist and copy is a group of its own.
    """
    relate(connection)
    key = dict(connection.execute("SELECT track_id, coalesce(artist, 'track ' || track_id) FROM artist_of").fetchall())
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while name in above:
            above[name] = above.get(above[name], above[name])
            name = above[name]
        return name

    for one, two in connection.execute("SELECT one, two FROM alike").fetchall():
        if one in key and two in key:
            # The first by name represents both, in whatever order the pairs come.
            low, high = sorted((top(key[one]), top(key[two])))
            if low != high:
                above[high] = low
    return {track_id: top(name) for track_id, name in key.items()}
