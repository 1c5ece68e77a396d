"""Images and sounds that are none, that lie about themselves or that somebody else would have to fetch: each is a typed error
that names its field, the process lives, and streams beside them do not notice."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import media_files
import mullama
import numpy as np
import pytest
from ask import answer
from media_files import as_base64, image_part, pixels, png, shown, sound_part, tone, url, wav

Code = mullama.ErrorCode
PNG = png()
# 12 x 8 pixels, written by Pillow.
JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300281c1e231e19282321232d2b28303c64413c37373c7b585d4964918099968f808c8aa0b4e6c3a0aadaad8a8cc8ffcbdaeef5"
    "ffffff9bc1fffffffaffe6fdfff8ffdb0043012b2d2d3c353c76414176f8a58ca5f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8f8"
    "f8f8f8f8f8f8f8f8ffc00011080008000c03012200021101031101ffc4001500010100000000000000000000000000000003ffc4001d100001040203000000000000000000000001000304"
    "120211213141ffc4001501010100000000000000000000000000000102ffc400191101000203000000000000000000000000010002213251ffda000c03010002110311003f00ac92596c8b"
    "6fde94f17e3d45a46b2d722851135d47b28313ffd9"
)
GIF = bytes.fromhex(
    "4749463837610c000800820000c8ecbe37f58b9695a1568de9dc71723244d79e0e9f3d16392c000000000c0008000008350003081c48a0a0c181040d1634c0d020430303223e74c830e200"
    "001805682cc011a347001a05702cf011a3c50328537a3c99126540003b"
)
WEBP = bytes.fromhex(
    "524946469c000000574542505650384c900000002f0bc001007fa02692ade687320af922be5c246029760c15461445b6da08c00c7ad18109ae2d3d22ea35a33400908691897005c923ccfb"
    "73cfd8d534ff31f39b5d8c3ac9ef82bf09c999ecead0fc9017d8104fa2bf541f1b9329746013db561c0cac16b08004b00012b0800524404b49478d802db1100b91b07f1111fd0f674d8809"
    "9ed7cd6b8322970323e8fb2e9586"
)

# 1.5 seconds in three blocks of 8000 samples a second, written by libFLAC.
FLAC = bytes.fromhex(
    "664c6143000000221000100000000b00000b01f400f0000030007bd7d5b2efa524b41812df1104fe801f84000028200000007265666572656e6365206c6962464c414320312e342e332032"
    "3032333036323300000000fff8c4080004000000f854fff8c40801030100051425fff8c408020a01000720a2"
)


@pytest.fixture(scope="module")
def seeing(tiny: Path) -> Iterator[mullama.Engine]:
    with mullama.Engine(tiny / "llama.gguf", projector=str(tiny / "both.gguf"), n_ctx=256, n_slots=4, n_threads=1) as engine:
        yield engine


def image_of(address: Any) -> tuple[str, dict[str, Any]]:
    return "chat/completions", {"messages": shown("the", {"type": "image_url", "image_url": {"url": address}})}


def file_of(file: bytes) -> tuple[str, dict[str, Any]]:
    return "chat/completions", {"messages": shown("the", image_part(file))}


def sound_of(file: bytes, form: str = "wav") -> tuple[str, dict[str, Any]]:
    return "chat/completions", {"messages": shown("the", sound_part(file, form))}


def part(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "chat/completions", {"messages": shown("the", fields)}


def block(**source: Any) -> tuple[str, dict[str, Any]]:
    return "messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "the"}, {"type": "image", "source": source}]}]}


def item(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "responses", {"input": [{"role": "user", "content": [{"type": "input_image", **fields}]}]}


def flac(n_samples: int) -> bytes:
    """A FLAC of one second that says it has `n_samples` of them, and no frame."""
    packed = 16000 << 44 | 0 << 41 | 15 << 36 | n_samples
    return b"fLaC\x80\x00\x00\x22" + struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)


FIELD = "messages[0].content[1]"
URL, DATA = f"{FIELD}.image_url.url", f"{FIELD}.input_audio.data"
INVALID, MEDIA, UNSUPPORTED = Code.INVALID_ARGUMENT, Code.MEDIA_INVALID, Code.UNSUPPORTED
NOISE = np.random.RandomState(3).bytes(3000)
LOUD = np.array([0.1] * 100 + [1e30] + [0.1] * 100, np.float32)

BAD: dict[str, tuple[tuple[str, dict[str, Any]], int, str]] = {
    # Where it is
    "an address": (image_of("https://example.com/cat.png"), INVALID, f'{URL} is the address "https://example.com/cat.png", and nothing is fetched here'),
    "an address without TLS": (image_of("http://example.com/cat.png"), INVALID, f"{URL} is the address"),
    "a file's address": (image_of("file:///etc/passwd"), INVALID, f'{URL} is the file "file:///etc/passwd", and no files are read'),
    "a path": (image_of("/etc/passwd"), INVALID, f"{URL} is the file"),
    "a relative path": (image_of("../cat.png"), INVALID, f"{URL} is the file"),
    "another scheme": (image_of("ftp://example.com/cat.png"), INVALID, f'{URL} is "ftp://example.com/cat.png"; it must be a data: URL'),
    "base64 without its scheme": (image_of(as_base64(PNG)), INVALID, f"{URL} is \""),
    "nothing": (image_of(""), INVALID, f'{URL} is ""; it must be a data: URL'),
    "no text": (image_of(5), INVALID, f"{URL} is 5; it must be a text"),
    "a data: URL without data": (image_of("data:image/png;base64"), INVALID, f"{URL} is"),
    "a data: URL that is no base64": (image_of("data:image/png,abc"), INVALID, "must have the form data:image/png;base64,..."),
    "a data: URL of a text": (image_of(url(PNG, "text/plain")), INVALID, "its type must begin with image/"),
    "a data: URL of a video": (image_of(url(PNG, "video/mp4")), INVALID, "its type must begin with image/"),
    "an image that is a text": (part(type="image_url", image_url=url(PNG)), INVALID, f"{FIELD}.image_url is"),
    "an image without an address": (part(type="image_url", image_url={}), INVALID, f"{URL} is missing"),
    "an image without an image": (part(type="image_url"), INVALID, f"{FIELD}.image_url is missing"),
    "an unknown field of an image": (part(type="image_url", image_url={"url": url(PNG), "size": 3}), INVALID, f"{FIELD}.image_url.size"),
    "less detail": (part(type="image_url", image_url={"url": url(PNG), "detail": "low"}), INVALID, f'{FIELD}.image_url.detail is "low"; it must be auto or high'),
    "a mark in place of an image": (part(type="media_marker", text="x"), INVALID, f'{FIELD}.type is "media_marker"'),
    "a video": (part(type="input_video", text="x"), INVALID, f'{FIELD}.type is "input_video"'),
    # Base64
    "a letter that is none": (image_of("data:image/png;base64,iVBO*w0K"), INVALID, f'{URL} is no base64: "*" stands at byte 4'),
    "a byte that is none": (image_of("data:image/png;base64,iVBO\x01w0K"), INVALID, f"{URL} is no base64: the byte 1 stands at byte 4"),
    "base64 for addresses": (image_of("data:image/png;base64,iVB_"), INVALID, '"_" stands at byte 3'),
    "base64 that goes on behind its end": (image_of("data:image/png;base64,iVA=iVA="), INVALID, "stands at byte 4"),
    "too much padding": (image_of("data:image/png;base64,iV==="), INVALID, '"=" stands at byte 4'),
    "too little padding": (image_of("data:image/png;base64,iV="), INVALID, "it has 2 letters and 1 =, so that some are missing"),
    "one letter too many": (image_of("data:image/png;base64,iVBOR"), INVALID, "it has 5 letters"),
    "empty base64": (image_of("data:image/png;base64,"), INVALID, f"{URL} is empty"),
    # Images
    "noise": (file_of(NOISE), MEDIA, f"{URL} (3000 bytes) is no image that can be decoded"),
    "one byte": (file_of(b"x"), MEDIA, f"{URL} (1 bytes) is no image"),
    "WebP": (file_of(WEBP), MEDIA, "JPEG, PNG, GIF and BMP are taken"),
    "a sound": (file_of(wav()), MEDIA, f"{URL} ("),
    "a PNG's head": (file_of(PNG[:30]), MEDIA, f"{URL} (30 bytes)"),
    "a PNG that is cut off": (file_of(PNG[: len(PNG) * 2 // 3]), MEDIA, f"{URL} ("),
    "a PNG without its end": (file_of(PNG[:-12]), MEDIA, f"{URL} ("),
    "a PNG with too few rows": (file_of(png(height=100)), MEDIA, f"{URL} ("),
    "a PNG whose data are noise": (file_of(PNG[:43] + NOISE[:20] + PNG[63:]), MEDIA, f"{URL} ("),
    "a PNG of 60000 x 60000": (file_of(png(width=60000, height=60000)), MEDIA, f"{URL} is an image of 60000 x 60000 pixels; 1 to 89478485 pixels are taken"),
    "a PNG of 16000 x 16000": (file_of(png(width=16000, height=16000)), MEDIA, f"{URL} is an image of 16000 x 16000 pixels; 1 to 89478485 pixels are taken"),
    "a PNG without pixels": (file_of(png(np.zeros((0, 0, 3), np.uint8))), MEDIA, f"{URL} is an image of 0 x 0 pixels"),
    "a JPEG that is cut off": (file_of(JPEG[: len(JPEG) - 30]), MEDIA, "is cut off: its data end before the image does"),
    "a BMP that is cut off": (file_of(media_files.bmp()[:1000]), MEDIA, f"{URL} ("),
    "a PNM": (file_of(b"P6 2 2 255\n" + bytes(12)), MEDIA, f"{URL} (23 bytes) is no image that can be decoded; JPEG, PNG, GIF and BMP are taken"),
    "what could be a TGA": (file_of(struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 2, 2, 24, 0) + bytes(12)), MEDIA, "JPEG, PNG, GIF and BMP are taken"),
    "an image that is no wider than a line": (file_of(png(pixels(1, 1, 4000))), None, ""),
    # Sounds
    "a sound without data": (part(type="input_audio", input_audio={"format": "wav"}), INVALID, f"{DATA} is missing"),
    "a sound without a sound": (part(type="input_audio"), INVALID, f"{FIELD}.input_audio is missing"),
    "a sound by its address": (part(type="input_audio", input_audio={"url": "https://example.com/x.wav"}), INVALID, f"{FIELD}.input_audio.url"),
    "a sound in a data: URL": (part(type="input_audio", input_audio={"data": url(wav(), "audio/wav")}), INVALID, f'{DATA} is no base64: ":" stands at byte 4'),
    "a sound in an unknown format": (sound_of(wav(), "ogg"), INVALID, f'{FIELD}.input_audio.format is "ogg"; it must be wav, mp3 or flac'),
    "noise as a sound": (sound_of(NOISE), MEDIA, f"{DATA} ("),
    "noise that has an MP3's first bytes": (sound_of(b"\xff\xfb" + NOISE, "mp3"), MEDIA, f"{DATA} ("),
    "an image as a sound": (sound_of(PNG), MEDIA, f"{DATA} ("),
    "a WAV's head": (sound_of(wav()[:20]), MEDIA, f"{DATA} (20 bytes) is no sound that can be decoded"),
    "a WAV without samples": (sound_of(wav(np.zeros(0, np.float32))), MEDIA, f"{DATA} holds no sound"),
    "a WAV that is cut off": (sound_of(wav(tone(seconds=10))[:100_000]), MEDIA, f"{DATA} (100000 bytes) is cut off: 540044 bytes of its samples are missing"),
    "a WAV that claims 200 MB": (sound_of(wav(claimed=200_000_000)), MEDIA, "is cut off: 199936000 bytes of its samples are missing"),
    "a FLAC that is cut off": (sound_of(FLAC[:97], "flac"), MEDIA, f"{DATA} is cut off: it says that it has 24576 samples of 16000 a second, and has 8192"),
    "a FLAC that claims hours and has nothing": (sound_of(flac(2**36 - 1), "flac"), MEDIA, DATA),
    "a WAV with a sample that is no number": (sound_of(wav(np.array([0.1, np.nan] * 50, np.float32))), MEDIA, f"{DATA} has nan as sample 1"),
    "a WAV that is louder than numbers can be": (sound_of(wav(LOUD)), MEDIA, "as sample 100; samples are from -1 to 1"),
    # Other APIs
    "a message's image without data": (block(type="base64", media_type="image/png"), INVALID, f"{FIELD}.source.data is missing"),
    "a message's image by its address": (block(type="url", url="https://example.com/cat.png"), INVALID, f"{FIELD}.source.type is url, and nothing is fetched here"),
    "a message's image in a file": (block(type="file", file_id="x"), INVALID, f"{FIELD}.source.type is file"),
    "a message's image of no type": (block(data=as_base64(PNG)), INVALID, f'{FIELD}.source.type is ""; it must be base64'),
    "a message's image that is a text": (block(type="base64", media_type="text/plain", data="aGk="), INVALID, f'{FIELD}.source.media_type is "text/plain"'),
    "a message's image with two types": (block(type="base64", media_type="image/png;base64,AAAA", data="aGk="), INVALID, f"{FIELD}.source.media_type"),
    "a message's image of noise": (block(type="base64", media_type="image/png", data=as_base64(NOISE)), MEDIA, f"{FIELD}.source.data (3000 bytes) is no image"),
    "a message's image that is no base64": (block(type="base64", media_type="image/png", data="%"), INVALID, f"{FIELD}.source.data is no base64"),
    "a system's image": (
        ("messages", {"system": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": as_base64(PNG)}}], "messages": [{"role": "user", "content": "the"}]}),
        INVALID, 'system[0].type is "image"; it must be text'),
    "a response's image by its address": (item(image_url="https://example.com/cat.png"), INVALID, "input[0].content[0].image_url is the address"),
    "a response's image in a file": (item(file_id="x"), INVALID, "input[0].content[0].file_id is not supported"),
    "a response's image without one": (item(), INVALID, "input[0].content[0].image_url is missing"),
    "a response's image with less detail": (item(image_url=url(PNG), detail="low"), INVALID, 'input[0].content[0].detail is "low"'),
    "a response's image of noise": (item(image_url=url(NOISE)), MEDIA, "input[0].content[0].image_url (3000 bytes) is no image"),
    "an image at the end of what was said": (
        ("chat/completions", {"messages": [{"role": "user", "content": [image_part()]}], "add_generation_prompt": False}), None, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in BAD if BAD[name][1] is not None])
def test_each_is_a_typed_error_that_names_its_field(seeing, name):
    (route, body), code, message = BAD[name]
    with pytest.raises(mullama.Error) as caught:
        answer(seeing, route, max_tokens=2, **body) if route != "responses" else answer(seeing, route, **body)
    assert caught.value.code == code, caught.value
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", [name for name in BAD if BAD[name][1] is None])
def test_what_only_looks_bad_is_answered(seeing, name):
    (route, body), _, _ = BAD[name]
    assert answer(seeing, route, max_tokens=2, ignore_eos=True, **body)["usage"]["completion_tokens"] == 2


def test_the_second_of_two_images_is_named(seeing):
    bad = [{"role": "system", "content": "the"}, *shown(image_part(), "of", image_part(NOISE))]
    with pytest.raises(mullama.Error, match=r"messages\[1\]\.content\[2\]\.image_url\.url \(3000 bytes\)"):
        answer(seeing, "chat/completions", messages=bad)


def test_an_image_in_a_result_is_named(seeing):
    """Behind those of the message itself, which is the order of the prompt."""
    good = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": as_base64(PNG)}}
    bad = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": as_base64(NOISE)}}
    messages = [
        {"role": "user", "content": "the"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [good, bad]}, good]},
    ]
    with pytest.raises(mullama.Error, match=r"messages\[2\]\.content\[0\]\.content\[1\]\.source\.data \(3000 bytes\)"):
        answer(seeing, "messages", messages=messages, max_tokens=2)


def test_lines_in_base64_are_no_mistake(seeing):
    data = as_base64(PNG)
    lines = "\r\n".join(data[at : at + 76] for at in range(0, len(data), 76))
    tokens = [answer(seeing, "apply-template", **image_of(f"data:image/png;base64,{text}")[1])["tokens"] for text in (data, lines, data.rstrip("="))]
    assert tokens[0] == tokens[1] == tokens[2]


@pytest.mark.parametrize(("name", "file"), [("PNG", PNG), ("JPEG", JPEG), ("GIF", GIF), ("BMP", media_files.bmp(pixels(1, 12, 8)))])
def test_a_whole_image_is_taken_and_no_part_of_it(seeing, name, file):
    """A GIF has one byte behind its picture, by which nobody can tell that it is missing."""
    assert answer(seeing, "apply-template", **file_of(file)[1])["tokens"].count(-1) == 16
    for size in range(1, len(file) - (name == "GIF")):
        with pytest.raises(mullama.Error) as caught:
            answer(seeing, "apply-template", **file_of(file[:size])[1])
        assert caught.value.code == MEDIA, size


def test_a_whole_flac_is_taken(seeing):
    assert answer(seeing, "apply-template", **sound_of(FLAC, "flac")[1])["tokens"].count(-1) == 30


def test_a_sound_whose_length_was_not_known_when_it_was_written_is_taken(seeing):
    assert answer(seeing, "apply-template", **sound_of(wav(claimed=0xFFFFFFFF))[1])["tokens"].count(-1) == 30


def test_images_that_are_too_much_together_are_refused(seeing):
    """A row of zeros packs well: 30 kB each, 188 MB unpacked."""
    size = 8000
    large = png(width=size, height=size - 160, rows=bytes((size * 3 + 1) * (size - 160)))
    parts = [image_part(large)] * 6
    with pytest.raises(mullama.Error, match=r"messages\[0\]\.content\[5\].*1024 MiB") as caught:
        answer(seeing, "chat/completions", messages=shown(*parts))
    assert caught.value.code == MEDIA


BOMB = """
import resource, sys
sys.path.insert(0, {tools!r})
import mullama
from ask import answer
from media_files import image_part, png, shown, sound_part, wav
with mullama.Engine({model!r}, projector={projector!r}, n_ctx=256, n_threads=1) as engine:
    body = eval(sys.stdin.read())
    answer(engine, "chat/completions", messages=shown(image_part(png())), max_tokens=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        answer(engine, "chat/completions", messages=body, max_tokens=2)
    except mullama.Error as error:
        print(error.code, str(error)[:200])
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    answer(engine, "chat/completions", messages=shown(image_part(png())), max_tokens=2)
"""


@pytest.mark.parametrize("kind", ["pixels that are not there", "data that unpack to more", "seconds that are not there"])
def test_a_small_file_does_not_take_much_memory(tiny, kind):
    if kind == "pixels that are not there":
        messages = shown(image_part(png(width=9000, height=9000)))
    elif kind == "data that unpack to more":
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(900)) + packer.flush()
        frame = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))  # noqa: E731
        header = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
        messages = shown(image_part(b"\x89PNG\r\n\x1a\n" + frame(b"IHDR", header) + frame(b"IDAT", packed) + frame(b"IEND", b"")))
    else:
        messages = shown(sound_part(wav(claimed=0xFFFFFFF0)))
    program = BOMB.format(tools=str(Path(media_files.__file__).parent), model=str(tiny / "llama.gguf"), projector=str(tiny / "both.gguf"))
    run = subprocess.run([sys.executable, "-c", program], input=repr(messages), capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    *errors, megabytes = run.stdout.splitlines()
    assert int(megabytes) < 60, run.stdout
    assert bool(errors) == (kind != "seconds that are not there")


def test_the_streams_beside_them_stay_the_same_to_the_byte(seeing):
    def healthy(disturb: Any) -> list[str]:
        bodies = [{"messages": shown("the ", image_part(png(pixels(seed)))), "max_tokens": 120, "ignore_eos": True, "temperature": 0, "stream": True, "cache_prompt": False} for seed in range(3)]
        streams = [seeing.request("chat/completions", body) for body in bodies]
        thread = threading.Thread(target=disturb)
        thread.start()
        texts = ["".join(json.dumps(event.data["choices"]) for event in stream) for stream in streams]
        thread.join()
        for stream in streams:
            stream.close()
        return texts

    def disturb() -> None:
        for _ in range(2):
            for (route, body), code, _ in BAD.values():
                with contextlib.suppress(mullama.Error):
                    answer(seeing, route, **({**body, "max_tokens": 2} if code is None else body))

    assert healthy(disturb) == healthy(lambda: None)
    assert seeing.info.state == mullama.EngineState.READY
