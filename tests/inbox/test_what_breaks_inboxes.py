"""What is known to break watch folders, each with the tests that show that it does not break this one.

The table is checked: every test that it names exists. What was missing from it follows below.
"""

from __future__ import annotations

import ast
import time
from functools import cache
from pathlib import Path

import pytest

from tests.support.inbox_world import World, picture

TESTS = Path(__file__).parents[1]

TABLE: dict[str, tuple[str, ...]] = {
    "a slow copy that stalls": (
        "inbox/test_intake.py::test_a_slow_copy_with_stalls_is_taken_once_and_whole",
        "inbox/test_intake.py::test_a_copy_that_stalls_for_minutes_is_waited_for",
    ),
    "preallocated, then filled": ("inbox/test_intake.py::test_a_preallocated_file_is_taken_when_it_is_filled",),
    "opened and closed five times": (
        "inbox/test_intake.py::test_a_scanner_that_opens_and_closes_five_times_is_served_once",
    ),
    "moved, hard-linked, symlinked in": (
        "inbox/test_intake.py::test_a_moved_a_linked_and_a_copied_file_are_all_found",
        "inbox/test_watch.py::test_the_bell_rings_for_every_way_in",
        "stories/test_odd_files.py::test_no_odd_thing_blocks_a_sweep_and_each_has_a_reason",
    ),
    "a directory moved in, then written into": (
        "inbox/test_intake.py::test_a_folder_that_is_moved_in_and_then_written_into_is_taken_whole",
        "inbox/test_intake_thread.py::test_a_folder_moved_in_and_written_into_rings_too",
    ),
    "a burst of 40,000 files": (
        "inbox/test_intake_thread.py::test_a_burst_of_forty_thousand_files_by_eight_writers_is_taken_within_two_sweeps",
    ),
    "a deep tree made in one go": (
        "inbox/test_intake.py::test_a_deep_tree_made_at_once_is_found",
        "inbox/test_intake_thread.py::test_two_thousand_quickly_made_nested_folders_are_taken_within_two_sweeps",
    ),
    "the root removed and made again": (
        "inbox/test_intake.py::test_a_removed_inbox_is_offline_and_by_itself_back",
        "inbox/test_intake_thread.py::test_an_inbox_removed_and_made_again_is_watched_again",
    ),
    "the marker missing, and back": (
        "stories/test_guard.py::test_with_a_marker_gone_nothing_is_noticed_and_nothing_forgotten",
    ),
    "one folder hangs, others go on": (
        "app/test_intakes.py::test_a_folder_that_hangs_is_reported_with_for_how_long_and_no_other_is",
        "inbox/test_intake_thread.py::test_a_hanging_share_is_reported_and_does_not_hold_up_the_stop",
    ),
    "SIGTERM while a share hangs": (
        "mounts/test_hang.py::test_a_share_that_hangs_does_not_keep_the_daemon_from_ending",
        "mounts/test_hang.py::test_a_share_that_hangs_holds_up_no_other_folder",
    ),
    "replaced during the upload": ("stories/test_trouble.py::test_a_source_replaced_before_it_is_paid_starts_over",),
    "vanished while it settles": ("inbox/test_intake.py::test_a_file_that_vanishes_while_it_settles_is_forgotten",),
    "the same name twice": (
        "stories/test_the_way_of_a_picture.py::test_the_same_name_dropped_again_overwrites_nothing",
    ),
    "names: case, NFC and NFD, long, undecodable": (
        "stories/test_odd_files.py::test_every_name_ends_as_a_result_with_a_safe_name_and_none_collides",
        "inbox/test_intake.py::test_undecodable_names_are_taken_and_shown_safely",
    ),
    "clocks that jump, times in the future": (
        "inbox/test_intake.py::test_the_date_of_a_file_means_nothing",
        "inbox/test_what_breaks_inboxes.py::test_a_wall_clock_that_jumps_changes_nothing",
    ),
    "configurations that overlap or have typos": (
        "config/test_directories.py",
        "config/test_wrong.py",
    ),
    "SIGHUP with a wrong configuration": (
        "e2e/test_reload.py::test_a_reload_takes_folders_in_and_out_and_refuses_mistakes",
        "app/test_intakes.py::test_a_wrong_configuration_changes_nothing",
    ),
    "two daemons on one inbox": (
        "stories/test_guard.py::test_a_second_daemon_on_the_same_inbox_refuses_and_names_the_first",
    ),
    "no bytes, a gigabyte": (
        "inbox/test_intake.py::test_an_empty_file_waits_for_its_bytes",
        "inbox/test_what_breaks_inboxes.py::test_a_gigabyte_is_refused_in_seconds",
    ),
    "files of other users": (
        "inbox/test_intake.py::test_another_user_s_file_is_taken_when_its_owner_lets_us_read_it",
        "inbox/test_intake.py::test_another_user_s_folder_in_the_inbox_is_named_and_the_rest_goes_on",
    ),
    "an outbox that is full": (
        "stories/test_space.py::test_without_room_for_its_result_nothing_is_uploaded_or_paid",
        "mounts/test_full.py::test_a_full_outbox_keeps_what_was_paid_until_there_is_room",
    ),
    "a PDF named .jpg": ("inbox/test_intake.py::test_what_is_no_picture_stays_where_it_is_with_a_reason",),
    "a JPEG without its end, a PNG with a wrong checksum": (
        "inbox/test_intake.py::test_a_picture_that_stays_incomplete_is_refused_after_its_grace",
        "files/test_structure.py::test_a_damaged_png_is_told_by_its_checksums",
        "files/test_corpus.py::test_no_photograph_that_lacks_a_part_passes",
    ),
    "animations": ("inbox/test_intake.py::test_an_animation_is_refused_before_anything_is_spent",),
    "the watcher's own log": ("inbox/test_watch.py::test_the_watcher_s_own_words_stay_out_of_our_log",),
}


@cache
def named_in(file: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("row", TABLE)
def test_what_breaks_inboxes_has_its_tests(row: str) -> None:
    """A test that is renamed takes its row along."""
    for named in TABLE[row]:
        file, _, name = named.partition("::")
        assert (TESTS / file).exists()
        assert not name or name in named_in(file)


def test_a_wall_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day forth and a day back while a file settles: only the monotonic clock counts."""
    world = World(tmp_path)
    world.drop("a.jpg")
    world.wait(3)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    world.wait(1)
    early = world.taken
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    world.wait(3)

    assert ([], ["a.jpg"]) == (early, world.taken)


def test_a_gigabyte_is_refused_in_seconds(tmp_path: Path) -> None:
    """Its structure is followed in blocks, and it is too large: nothing is spent, and no memory either."""
    world = World(tmp_path)
    path = world.drop("a.jpg")
    whole = picture()
    with path.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek((1 << 30) - len(whole))
        file.write(whole)
    before = time.process_time()
    world.wait(8)

    assert "too large: 1,073,741,824 bytes" in world.books.failure("a.jpg").what
    assert time.process_time() - before < 10
