"""Build clips of a camera that moves in seven ways, rendered by ViZDoom without a screen.

python examples/data/build_vizdoom.py -o runs/data/vizdoom.parquet      # pip install vizdoom; two to three minutes

The maps are Freedoom's (BSD), which come inside the package (MIT); there is no ROM to be had or fetched. From each start, a place
and a direction, the camera stands, goes forward, backward, left or right, or turns left or right, each at a speed of its own. So a
frame says little of the motion: all seven begin alike. A start counts only where nothing is in the way of any of them.

Each row is a clip: ``video``, a silent mp4 of 24 frames of 60 x 80 pixels at 17.5 a second; ``cloud``, float16 (2048, 4), points
that the camera sees in four of the frames, in its own coordinates (right, up, ahead; 1 is about 7 map units) and when, from 0 to
1; ``motion``, ``start`` (its number) and ``map``. Maps are whole in ``split``, so no start and no room is on both sides;
``inner`` splits the train side once more, for whatever is chosen.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

MOTIONS = {  # ahead, right, turn to the right
    "forward": (1, 0, 0), "backward": (-1, 0, 0), "left": (0, -1, 0), "right": (0, 1, 0), "turn-left": (0, 0, -1),
    "turn-right": (0, 0, 1), "stand": (0, 0, 0),
}  # fmt: skip
FRAMES, TICS, RATE = 24, 2, Fraction(35, 2)
PACE, TURN = (6.0, 12.0), (1.0, 2.5)  # the game's unit of speed; degrees a tic
LEAD, PUSH = 3, 3.56  # tics at so many times the pace bring the player to the speed that friction then holds
UNIT = 1 / 3  # map units a tic at pace 1
SEEN, POINTS = (0, 8, 16, 23), 2048
MAPS = {
    "freedoom1": [f"E{e}M{m}" for e in range(1, 5) for m in range(1, 10)],
    "freedoom2": [f"MAP{n:02}" for n in range(1, 33)],
}
PER_MAP, TRIES, SEED = 3, 20_000, 0
SCHEMA = pa.schema([
    ("id", pa.string()), ("video", pa.binary()), ("cloud", pa.binary()), ("motion", pa.string()), ("start", pa.int32()),
    ("map", pa.string()), ("split", pa.string()), ("inner", pa.string()),
])  # fmt: skip

Pose = NDArray[np.float64]
Lines = NDArray[np.float64]  # (n, 4), from x, y to x, y


def open_game(wad: str, name: str) -> tuple[Any, Lines, NDArray[np.int_], NDArray[np.bool_]]:
    """A game on one map without monsters, weapon, bobbing and text, at 120 x 160 pixels with depth.

    And the map's lines, the sector (a number) that each is of, and whether it is a wall.
    """
    import vizdoom as vzd

    game = vzd.DoomGame()
    game.set_doom_game_path(str(Path(vzd.__path__[0]) / f"{wad}.wad"))
    game.set_doom_map(name)
    game.set_seed(SEED)
    game.set_screen_resolution(vzd.ScreenResolution.RES_160X120)
    game.set_screen_format(vzd.ScreenFormat.RGB24)
    game.set_depth_buffer_enabled(True)
    game.set_sectors_info_enabled(True)
    game.set_window_visible(False)
    for part in ("hud", "weapon", "crosshair", "decals", "particles", "effects_sprites", "messages", "screen_flashes"):
        getattr(game, f"set_render_{part}")(False)
    game.add_game_args("-nomonsters +movebob 0 +sv_cheats 1 +con_midtime 0 +cl_showsecretmessage 0")
    game.set_available_buttons([
        vzd.Button.MOVE_FORWARD_BACKWARD_DELTA, vzd.Button.MOVE_LEFT_RIGHT_DELTA, vzd.Button.TURN_LEFT_RIGHT_DELTA
    ])  # fmt: skip
    game.set_episode_timeout(0)
    game.init()
    found = [(n, one) for n, s in enumerate(game.get_state().sectors) for one in s.lines]
    lines = np.array([(one.x1, one.y1, one.x2, one.y2) for _, one in found])
    sector, is_wall = np.array([n for n, _ in found]), np.array([one.is_blocking for _, one in found])
    game.close()
    game.set_sectors_info_enabled(False)  # else each state holds all of them
    game.init()
    game.send_game_command("god")
    return game, lines, sector, is_wall


def is_inside(lines: Lines, sector: NDArray[np.int_], x: float, y: float) -> bool:
    """Whether a place lies in a sector, by how many of that sector's lines a ray to the right crosses."""
    x1, y1, x2, y2 = lines.T
    over = (y1 > y) != (y2 > y)
    crossed = x < x1[over] + (y - y1[over]) * (x2 - x1)[over] / (y2 - y1)[over]
    return bool((np.bincount(sector[over][crossed]) % 2).any())


def is_clear(walls: Lines, x: float, y: float, angle: float, reach: Mapping[str, float]) -> bool:
    """Whether no wall (n, 4) lies in the way of a player of radius 16 that goes so far ahead, back, left and right."""
    (x1, y1), wall = walls[:, :2].T - [[x], [y]], walls[:, 2:] - walls[:, :2]
    for motion, length in reach.items():
        ahead, right, _ = MOTIONS[motion]
        turned = np.radians(angle) + (0 if ahead > 0 else np.pi if ahead else -right * np.pi / 2)
        way = np.array([np.cos(turned), np.sin(turned)])
        for aside in (-16, 0, 16):
            px, py = x1 + aside * way[1], y1 - aside * way[0]
            cross = way[0] * wall[:, 1] - way[1] * wall[:, 0]
            with np.errstate(all="ignore"):
                far, along = (px * wall[:, 1] - py * wall[:, 0]) / cross, (px * way[1] - py * way[0]) / cross
            if ((far > 0) & (far < length + 16) & (along >= 0) & (along <= 1)).any():
                return False
    return True


def pose(game: Any) -> Pose:
    """Where the player is: x, y, z, and the angle in degrees."""
    import vizdoom as vzd

    known = vzd.GameVariable
    wanted = (known.POSITION_X, known.POSITION_Y, known.POSITION_Z, known.ANGLE)
    return np.array([game.get_game_variable(each) for each in wanted])


def place(game: Any, x: int, y: int, angle: float) -> None:
    """Put the player at rest somewhere, looking at an angle."""
    game.send_game_command(f"warp {x} {y}")
    game.make_action([0, 0, 0], 40)  # what was in motion comes to rest
    game.make_action([0, 0, float(pose(game)[3] - angle)], 1)


def move(game: Any, motion: str, pace: float, turn: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Frames (24, 60, 80, 3) and depths (24, 120, 160) of a motion.

    None where something is in the way, where the floor rises or falls, and where little is seen.
    """
    ahead, right, round_ = MOTIONS[motion]
    steady = [ahead * pace, right * pace, round_ * turn]
    game.make_action([PUSH * steady[0], PUSH * steady[1], 0], LEAD)
    pictures, depths, before = [], [], pose(game)
    for frame in range(FRAMES):
        if frame:
            game.make_action(steady, TICS)
            now = pose(game)
            gone, wanted = np.linalg.norm((now - before)[:2]), UNIT * pace * TICS * (abs(ahead) + abs(right))
            if abs(gone - wanted) > 0.1 * wanted + 0.1 or abs(now[2] - before[2]) > 8:
                return None
            before = now
        state = game.get_state()
        if not frame and np.count_nonzero(state.depth_buffer) < 0.5 * state.depth_buffer.size:
            return None  # sky, or beyond the map, where nothing is drawn
        pictures.append(state.screen_buffer.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8))
        depths.append(state.depth_buffer.copy())
    return np.stack(pictures), np.stack(depths)


def cloud(depths: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float16]:
    """Depths (24, 120, 160) to points (2048, 4) of four frames, as many of each: right, up, ahead, and when."""
    made = []
    for frame in SEEN:
        rows, columns = np.nonzero(depths[frame])  # 0 is the sky
        if not len(rows):
            rows, columns = np.array([60]), np.array([80])
        kept = rng.choice(len(rows), POINTS // len(SEEN), replace=len(rows) < POINTS)
        rows, columns = rows[kept], columns[kept]
        ahead = depths[frame][rows, columns] + rng.random(len(rows)) - 0.5  # whole numbers
        right, up = ahead * (columns - 79.5) / 80, ahead * (59.5 - rows) / 80  # a view of 90 degrees
        made.append(np.stack([right, up, ahead, np.full(len(rows), frame / (FRAMES - 1))], axis=1))
    return np.concatenate(made).astype(np.float16)


def encode(frames: NDArray[np.uint8]) -> bytes:
    """An mp4 of frames (T, H, W, 3), nearly without loss."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=RATE, options={"crf": "12", "preset": "veryfast", "threads": "1"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        made.mux(stream.encode())
    return file.getvalue()


def from_map(where: str, per_map: int = PER_MAP) -> list[list[dict[str, Any]]]:
    """The clips of up to so many starts of a map, start by start."""
    wad, name = where.split("/")
    rng = np.random.default_rng([SEED, list(MAPS).index(wad), MAPS[wad].index(name)])
    game, lines, sector, is_wall = open_game(wad, name)
    low, high = lines[:, :2].min(axis=0), lines[:, :2].max(axis=0)
    found: list[list[dict[str, Any]]] = []
    for _ in range(TRIES):
        if len(found) == per_map:
            break
        x, y = (int(v) for v in rng.uniform(low, high))
        angle = rng.uniform(0, 360)
        drawn = {motion: (rng.uniform(*PACE), rng.uniform(*TURN)) for motion in MOTIONS}
        reach = {m: UNIT * drawn[m][0] * TICS * FRAMES for m in ("forward", "backward", "left", "right")}
        if not is_inside(lines, sector, x, y) or not is_clear(lines[is_wall], x, y, angle, reach):
            continue
        clips: list[dict[str, Any]] = []
        for motion in rng.permutation(list(MOTIONS)).tolist():  # what the first walks over is gone for the next
            place(game, x, y, angle)
            made = move(game, motion, *drawn[motion])
            if made is None:
                break
            clips.append(
                {"motion": motion, "video": encode(made[0]), "cloud": packed(cloud(made[1], rng)), "map": where}
            )
        else:
            found.append(clips)
    game.close()
    return found


def packed(array: NDArray[Any]) -> bytes:
    """An array as the bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def deal(maps: list[str], every: int, rng: np.random.Generator) -> set[str]:
    """One in ``every`` of the maps."""
    return set(rng.permutation(sorted(maps))[: len(maps) // every].tolist())


def main() -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-map", type=int, default=PER_MAP, help="starts of a map, at most")
    parser.add_argument("--maps", type=int, help="only so many maps of each game")
    parser.add_argument("--jobs", type=int, default=2, help="maps at a time")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/vizdoom.parquet"))
    args = parser.parse_args()
    if importlib.util.find_spec("vizdoom") is None:
        raise SystemExit("vizdoom isn't installed, which renders the clips: pip install vizdoom")
    began = time.perf_counter()
    every = [f"{wad}/{name}" for wad, names in MAPS.items() for name in names[: args.maps]]
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(scratch),  # the game leaves files where it runs
        multiprocessing.get_context("spawn").Pool(args.jobs) as pool,
    ):
        of_maps = pool.map(functools.partial(from_map, per_map=args.per_map), every, chunksize=1)
    starts = [clips for found in of_maps for clips in found]
    rows = [{**clip, "id": f"{n}-{clip['motion']}", "start": n} for n, clips in enumerate(starts) for clip in clips]
    maps, rng = sorted({row["map"] for row in rows}), np.random.default_rng(SEED)
    test = deal(maps, 4, rng)
    valid = deal([m for m in maps if m not in test], 5, rng)
    for row in rows:
        row["split"] = "test" if row["map"] in test else "train"
        row["inner"] = "valid" if row["map"] in valid else row["split"]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), args.out)
    told = ", ".join(f"{sum(r['split'] == side for r in rows):,} {side}" for side in ("train", "test"))
    print(
        f"{args.out}: {len(starts)} starts of {len(maps)} maps, {len(rows):,} clips ({told}), {time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
