"""The order of tracks in an epoch: well mixed, and yet read from disk with few, short look-aheads.

Row groups are dealt to lanes, each lane is shuffled within a bounded distance, and the lanes run side by side. The
order depends on seed and epoch alone, so any number of workers sees the same batches; since a batch lies in order of
its lanes, worker r of R reads about the r-th part of the row groups.

Shape suffixes: N tracks, C crops.
"""

from dataclasses import dataclass

import numpy as np

LANES = 8
# Crops of a lane among which the next one is drawn: together enough to mix the tracks of some dozen row groups.
REACH = 64


@dataclass(frozen=True, slots=True)
class Order:
    """The batches of an epoch.

    Parameters
    ----------
    batches : list of ndarray
        Crops by number: crop c of track n is ``n * crops_per_track + c``.
    units : ndarray, shape (N,)
        Tracks that are best read together: neighbours in a row group.
    """

    batches: list[np.ndarray]
    units: np.ndarray


def of_epoch(group_N: np.ndarray, *, crops: int, batch_size: int, seed: int, epoch: int) -> Order:
    """Order the crops of an epoch.

    Parameters
    ----------
    group_N : ndarray of int
        Row group of each track, ascending.
    crops : int
        Crops per track.
    batch_size : int
        Crops per batch at most; batches differ by one crop at most.
    seed, epoch : int
    """
    rng = np.random.default_rng([seed, epoch])
    # Units are small enough that every lane gets its share of a small set, too.
    unit_N = units(group_N, longest=max(1, len(group_N) // (4 * LANES)))
    lanes = [_shuffled(_crops_of(tracks, crops), rng) for tracks in _deal(unit_N, rng)]
    place_C = np.concatenate([(np.arange(len(lane)) + 0.5) / max(1, len(lane)) for lane in lanes])
    lane_C = np.repeat(np.arange(len(lanes)), [len(lane) for lane in lanes])
    in_time = np.lexsort((lane_C, place_C))
    crop_C = np.concatenate(lanes)
    n_batches = -(-len(crop_C) // batch_size)
    batches = [part[np.argsort(lane_C[part], kind="stable")] for part in np.array_split(in_time, max(1, n_batches))]
    return Order([crop_C[part] for part in batches if len(part)], unit_N)


def units(group_N: np.ndarray, *, longest: int) -> np.ndarray:
    """Number the runs of tracks that share a row group, none longer than `longest`."""
    if not len(group_N):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(group_N, prepend=group_N[0] - 1))
    place_N = np.arange(len(group_N)) - np.repeat(starts, np.diff(np.append(starts, len(group_N))))
    return np.cumsum(place_N % longest == 0) - 1


def _deal(unit_N: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Tracks of each lane: units in random order, each to the lane that has the fewest tracks so far."""
    if not len(unit_N):
        return [np.zeros(0, np.int64)]
    members = np.split(np.arange(len(unit_N)), np.flatnonzero(np.diff(unit_N)) + 1)
    lanes: list[list[np.ndarray]] = [[] for _ in range(LANES)]
    held = [0] * LANES
    for unit in rng.permutation(len(members)):
        lane = held.index(min(held))
        lanes[lane].append(members[unit])
        held[lane] += len(members[unit])
    return [np.concatenate(lane) for lane in lanes if lane]


def _crops_of(tracks: np.ndarray, crops: int) -> np.ndarray:
    return (tracks[:, None] * crops + np.arange(crops)).ravel()


def _shuffled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(values) <= REACH:
        return rng.permutation(values)
    return values[np.argsort(np.arange(len(values)) + rng.random(len(values)) * REACH)]
