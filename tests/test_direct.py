"""`upscaled upscale`: what is taken, where it goes, and that nothing is overwritten. On the real engine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support.house import picture
from tests.test_cli import call
from upscaled import direct, serving
from upscaled.config import Engine
from upscaled.demo import compare
from upscaled.engine.outside import Reach


def names(directory: Path) -> list[str]:
    """Every file in a directory, at any depth, hidden ones too."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_files_and_directories_are_upscaled_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Directories are mirrored, what is no picture fails with its reason and exit code 1, a taken name stays."""
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "below/b.jpg", ".hidden/c.png", "notes.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("no picture")
    picture(source / "a.png")
    out.mkdir()
    (out / "a.webp").write_text("another's")

    command = ("upscale", str(source), "-o", str(out), "--to", "2k", "--format", "webp", "--tier", "fast")
    assert 1 == call(*command)

    assert ["a.webp", "a~2.webp"] == names(out)
    assert "another's" == (out / "a.webp").read_text()
    with Image.open(out / "a~2.webp") as image:
        assert ("WEBP", (2048, 1536)) == (image.format, image.size)
    told = capsys.readouterr().out.splitlines()
    assert 2 == len(told)
    assert told[0].startswith(f"{source / 'a.png'} -> {out / 'a~2.webp'} (2048x1536, ")
    assert told[1].startswith(f"{source / 'below/b.jpg'}: The picture cannot be read")


def test_one_picture_may_be_given_its_new_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which says the format, too; one at its target says that no network ran."""
    small = picture(tmp_path / "in.jpg", size=(2100, 32))

    assert 0 == call("upscale", str(small), "-o", str(tmp_path / "new" / "large.png"), "--to", "2k")

    with Image.open(tmp_path / "new" / "large.png") as image:
        assert ("PNG", 2048) == (image.format, image.width)
    assert "no network ran" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["nowhere.jpg", "empty"])
def test_nothing_to_do_is_a_usage_error(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the engine is started."""
    (tmp_path / "empty").mkdir()
    assert 2 == call("upscale", str(tmp_path / what), "-o", str(tmp_path / "out"))
    assert "There is no" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_results_below_the_pictures_are_not_upscaled_again(tmp_path: Path) -> None:
    """A second run of the same command would take them for pictures."""
    for name in ("a.png", "out/a.jpg", "sub/b.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name)

    works = direct.planned([tmp_path], tmp_path / "out", None)

    assert [("a.jpg", tmp_path / "out"), ("b.jpg", tmp_path / "out/sub")] == [(w.name, w.directory) for w in works]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a.png", "-o", "y.jpg", "--format", "png"), "y.jpg says jpeg, and --format png"),
        (("a.png", "-o", "z.tif"), "z.tif is no name for a result"),
        (("a.png", "a.png", "-o", "x.png"), "x.png is the name of one picture"),
        ((".", "-o", "x.png"), "x.png is the name of one picture"),
        (("b.png", "-o", "x.png"), "There is no b.png"),
    ],
)
def test_a_name_that_does_not_fit_is_a_usage_error(
    given: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a PNG that is called .jpg, nor a directory that is called x.png."""
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    assert 2 == call("upscale", *given)
    assert said in capsys.readouterr().err
    assert ["a.png"] == names(tmp_path)


@pytest.mark.parametrize(
    ("out", "form", "expected"),
    [
        ("y.JPG", "jpeg", "y.JPG"),
        ("y.webp", None, "y.webp"),
        ("there.png", None, "there.png/a.jpg"),
        ("scan.2024", "png", "scan.2024/a.png"),
    ],
)
def test_a_name_or_a_directory_is_told_by_its_ending(out: str, form: str | None, expected: str, tmp_path: Path) -> None:
    """Unless there is a directory of that name."""
    picture(tmp_path / "a.png")
    (tmp_path / "there.png").mkdir()
    (work,) = direct.planned([tmp_path / "a.png"], tmp_path / out, form)
    assert tmp_path / expected == work.directory / work.name


@pytest.mark.parametrize("out", [".", "in", "in/.."])
def test_results_may_go_above_the_pictures_or_among_them(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`upscale in -o .`: only a directory below the pictures holds nothing but results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    picture(tmp_path / "in" / "sub" / "a.png")

    works = direct.planned([Path("in")], Path(out), None)

    assert [("a.jpg", Path(out) / "sub")] == [(work.name, work.directory) for work in works]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--retain", "5", "must be a duration"),
        ("--retain", "0s", "too short"),
        ("--memory", "2", "must be a size"),
        ("--public-url", "pictures.example", "is no address"),
        ("--tier", "quick", "--tier"),
        ("--max-in-flight", "0", "--max-in-flight"),
        ("--per-minute", "0", "--per-minute"),
        ("--fetch-images", "all", "--fetch-images"),
    ],
)
def test_serve_refuses_wrong_options_in_words(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything is started."""
    assert 2 == call("serve", option, value)
    assert said in capsys.readouterr().err


def test_every_option_of_serve_reaches_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is without effect."""
    given: list[object] = []

    def serve(state: Path, listener: socket.socket, *, ready: object, **rest: object) -> None:
        given.extend([state, listener.getsockname()[0], rest])

    monkeypatch.setattr(serving, "serve", serve)
    (tmp_path / "keys").write_text("one\ntwo\n")
    options = {
        "--state-dir": str(tmp_path),
        "--listen": "127.0.0.2:0",
        "--key-file": str(tmp_path / "keys"),
        "--tier": "max",
        "--max-in-flight": "3",
        "--per-minute": "9",
        "--retain": "2h",
        "--memory": "1.5GB",
        "--public-url": "https://pictures.example/",
        "--fetch-images": "public",
    }
    assert 0 == call("serve", *[word for option in options.items() for word in option])
    engine = Engine(tier="max", memory=1_500_000_000)
    offer = serving.Offer(engine, 3, 9, 7200.0, "https://pictures.example", Reach.PUBLIC)
    assert [tmp_path, "127.0.0.2", {"keys": ["one", "two"], "offer": offer}] == given


def test_a_comparison_shows_both_at_the_same_scale_and_overwrites_nothing(tmp_path: Path) -> None:
    """Upright, labelled, the same middle: so that equal pictures make equal halves."""
    result = picture(tmp_path / "a.png", size=(800, 300))
    turned = Image.open(result).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)

    first, second = (compare(tmp_path / "turned.png", result) for _ in range(2))

    assert ["a-comparison.png", "a-comparison~2.png"] == [first.name, second.name]
    with Image.open(first) as image:
        assert (1284, 336) == image.size
        assert image.crop((0, 36, 640, 336)).tobytes() == image.crop((644, 36, 1284, 336)).tobytes()
        assert image.crop((0, 0, 640, 36)).tobytes() != image.crop((644, 0, 1284, 36)).tobytes()


@pytest.mark.parametrize("moment", ["starting", "at work"])
def test_sigterm_ends_it_tidily(moment: str, tmp_path: Path) -> None:
    """As Ctrl-C does: no part stays, no process is left, and nobody shows a traceback."""
    picture(tmp_path / "in.png")
    command = (sys.executable, "-m", "upscaled", "upscale", tmp_path / "in.png", "-o", tmp_path / "out")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        begun = children.read_text if moment == "starting" else (tmp_path / "out").exists
        while not begun():
            time.sleep(0.01)
        (child,) = children.read_text().split()
        process.terminate()
        _, told = process.communicate()

    assert (143, "") == (process.returncode, told)
    assert not Path(f"/proc/{child}").exists()
    assert [] == names(tmp_path / "out")


def test_a_disk_that_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where the directory should be."""
    (tmp_path / "out").write_text("a file")
    small = picture(tmp_path / "in.jpg")
    assert 1 == call("upscale", str(small), "-o", str(tmp_path / "out"), "--to", "2k", "--tier", "fast")
    assert "cannot be written" in capsys.readouterr().out
