"""Loading a model, and what it says of itself, against what tiny_models.py wrote into the file."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from pathlib import Path

import mullama
import numpy as np
import pytest
import tiny_models
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from mullama import ErrorCode

LLAMA_INFO = {
    "description": "llama ?B all F32",
    "architecture": "llama",
    "file_type": "all F32",
    "n_vocab": len(tiny_models.spm_vocabulary()),
    "n_ctx_train": tiny_models.N_CTX_TRAIN,
    "n_embd": 64,
    "n_embd_in": 64,
    "n_embd_out": 64,
    "n_layer": 2,
    "n_head": 2,
    "n_head_kv": 1,
    "n_swa": 0,
    "n_expert": 0,
    "n_classes": 0,
    "n_devices": 0,
    "vocabulary_type": mullama.VocabularyType.SPM,
    "rope_type": mullama.RopeType.NORM,
    "rope_freq_scale_train": 1.0,
    "decoder_start_token": -1,
    "has_encoder": False,
    "has_decoder": True,
    "is_recurrent": False,
    "is_hybrid": False,
    "is_diffusion": False,
    "vocab_only": False,
}
INFOS = {
    "llama": LLAMA_INFO,
    "split-00001-of-00002": LLAMA_INFO,
    "other": LLAMA_INFO
    | {"description": "llama ?B F16", "file_type": "F16", "n_layer": 3, "n_head": 3, "n_head_kv": 3}
    | {"n_embd": 96, "n_embd_in": 96, "n_embd_out": 96},
    "bert": LLAMA_INFO
    | {"description": "bert ?B all F32", "architecture": "bert", "n_vocab": 237, "n_ctx_train": 128}
    | {"n_embd": 32, "n_embd_in": 32, "n_embd_out": 32, "n_head_kv": 2}
    | {"vocabulary_type": mullama.VocabularyType.WPM, "rope_type": mullama.RopeType.NEOX},
    "mamba": LLAMA_INFO
    | {"description": "mamba ?B all F32", "architecture": "mamba", "n_head": 0, "n_head_kv": 0}
    | {"rope_type": mullama.RopeType.NONE, "is_recurrent": True},
    "gemma3": LLAMA_INFO
    | {"description": "gemma3 ?B all F32", "architecture": "gemma3", "n_layer": 3, "n_swa": 16}
    | {"rope_type": mullama.RopeType.NEOX},
    "lfm2": LLAMA_INFO
    | {"description": "lfm2 ?B all F32", "architecture": "lfm2", "n_layer": 4, "n_head_kv": 0, "is_hybrid": True}
    | {"rope_type": mullama.RopeType.NEOX},
    "t5": LLAMA_INFO
    | {"description": "t5 ?B all F32", "architecture": "t5", "n_head_kv": 2, "rope_type": mullama.RopeType.NONE}
    | {"has_encoder": True, "decoder_start_token": tiny_models.spm_vocabulary().id("</s>")},
    "no-vocabulary": LLAMA_INFO
    | {"n_vocab": 0, "n_embd": 32, "n_embd_in": 32, "n_embd_out": 32, "n_layer": 1, "n_head": 1}
    | {"vocabulary_type": mullama.VocabularyType.NONE},
}


def logits_of(model: mullama.Model, n_threads: int = 1) -> np.ndarray:
    with model.create_context(n_ctx=64, n_threads=n_threads) as context:
        context.decode(range(10, 30), outputs="all")
        return context.all_logits()


def load_logits(path: Path, **options: object) -> np.ndarray:
    with mullama.Model(path, **options) as model:
        return logits_of(model)


# Facts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INFOS)
def test_every_fact_is_what_the_file_says(name: str, tiny: Path) -> None:
    files = [tiny / f"{name}.gguf"]
    if name.startswith("split"):
        files.append(tiny / "split-00002-of-00002.gguf")
    tensors = [tensor for file in files for tensor in GGUFReader(file).tensors]
    sizes = {"size": sum(int(t.n_bytes) for t in tensors), "n_params": sum(int(t.n_elements) for t in tensors)}
    with mullama.Model(files[0]) as model:
        assert model.info._asdict() == INFOS[name] | sizes
        assert model.n_vocab == INFOS[name]["n_vocab"]


def test_a_diffusion_model_says_so_and_generates_nothing(tmp_path: Path) -> None:
    vocabulary = tiny_models.spm_vocabulary()
    writer = GGUFWriter(tmp_path / "llada.gguf", "llada")
    tiny_models._add_llama_metadata(writer, "tiny llada", 2, 64, 2, 1, 128, np.float32)
    tiny_models._add_spm_metadata(writer, vocabulary)
    weights = tiny_models._Weights(4, np.float32)
    tiny_models._write(writer, tiny_models._llama_tensors(weights, len(vocabulary), 2, 64, 2, 1, 128))
    with mullama.Model(tmp_path / "llada.gguf") as model, model.create_context(n_ctx=64, n_threads=1) as context:
        assert model.info.is_diffusion and not model.info.is_recurrent
        context.decode([7, 8, 9], outputs="all")
        assert context.all_logits().any()
        with pytest.raises(mullama.ArgumentError) as raised:
            context.generate("the water")
        assert raised.value.code is ErrorCode.UNSUPPORTED


def test_the_metadata_are_the_scalars_of_the_file(tiny: Path, llama: mullama.Model) -> None:
    written = {
        key: field.contents()
        for key, field in GGUFReader(tiny / "llama.gguf").fields.items()
        if not key.startswith("GGUF.") and field.types[0] != GGUFValueType.ARRAY
    }
    found = llama.metadata()
    assert found.keys() == written.keys()
    assert llama.metadata_count == len(written)
    for key, value in written.items():
        assert llama.metadata_value(key) == found[key]
        if isinstance(value, bool):
            assert found[key] == str(value).lower()
        elif isinstance(value, (int, float)):
            assert float(found[key]) == pytest.approx(value)
        else:
            assert found[key] == value


def test_a_key_that_does_not_exist_has_no_value(llama: mullama.Model) -> None:
    assert llama.metadata_value("general.absent") is None
    assert llama.metadata_value("") is None
    assert llama.metadata_value("general.name\0") is None


def test_the_chat_template_is_the_files_own(tiny: Path, llama: mullama.Model) -> None:
    assert llama.chat_template() == tiny_models.CHAT_TEMPLATE
    assert llama.chat_template("tool_use") is None
    with mullama.Model(tiny / "bert.gguf") as bert:
        assert bert.chat_template() is None


def test_a_named_variant_of_the_chat_template_is_found_by_its_name(tiny: Path, tmp_path: Path) -> None:
    import rewrite

    key = "tokenizer.chat_template.tool_use"
    rewrite.write(tiny / "minimal.gguf", tmp_path / "m.gguf", values={key: (GGUFValueType.STRING, "{{ tools }}")})
    with mullama.Model(tmp_path / "m.gguf") as model:
        assert model.chat_template("tool_use") == "{{ tools }}"
        assert model.chat_template() == tiny_models.CHAT_TEMPLATE


def test_a_model_without_classifier_has_no_class_labels(llama: mullama.Model) -> None:
    with pytest.raises(mullama.ArgumentError, match="class 0 does not exist; the model has 0"):
        llama.class_label(0)


def test_the_texts_of_an_info_outlive_the_model(tiny: Path) -> None:
    with mullama.Model(tiny / "llama.gguf") as model:
        info = model.info
    assert (info.architecture, info.description) == ("llama", "llama ?B all F32")


# Options --------------------------------------------------------------------------------------------------------------


def test_a_metadata_override_of_each_type_takes_effect(tiny: Path) -> None:
    vocabulary = tiny_models.spm_vocabulary()
    overrides = [
        "llama.context_length=int:100",
        "llama.rope.scaling.factor=float:4.0",
        "tokenizer.ggml.add_bos_token=bool:false",
    ]
    with mullama.Model(tiny / "llama.gguf", kv_overrides=overrides) as model:
        assert model.info.n_ctx_train == 100
        assert model.info.rope_freq_scale_train == 0.25
        assert not model.special_tokens.add_bos
        assert vocabulary.id("<s>") not in model.tokenize("the")
    with mullama.Model(tiny / "llama.gguf", vocab_only=True, kv_overrides="tokenizer.ggml.model=str:no_vocab") as model:
        assert model.info.vocabulary_type is mullama.VocabularyType.NONE


def test_an_override_changes_what_the_model_computes(tiny: Path) -> None:
    path = tiny / "llama.gguf"
    changed = load_logits(path, kv_overrides="llama.attention.layer_norm_rms_epsilon=float:0.5")
    assert not np.allclose(changed, load_logits(path), atol=1e-3)


@pytest.mark.parametrize("override", ["", "key", "key=int", "key=int:", "key=number:1", f"{'k' * 128}=int:1"])
def test_an_override_of_another_form_is_refused(override: str, tiny: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match="is not of the form KEY=TYPE:VALUE|must have a number") as raised:
        mullama.Model(tiny / "llama.gguf", kv_overrides=[override])
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_split_model_is_found_by_the_names_of_its_parts(tiny: Path, llama: mullama.Model) -> None:
    np.testing.assert_array_equal(load_logits(tiny / "split-00001-of-00002.gguf"), logits_of(llama))


def test_parts_with_other_names_are_given_one_by_one(tiny: Path, tmp_path: Path, llama: mullama.Model) -> None:
    parts = [str(tmp_path / "head.gguf"), str(tmp_path / "tail.gguf")]
    for part, path in zip(("split-00001-of-00002", "split-00002-of-00002"), parts, strict=True):
        Path(path).write_bytes((tiny / f"{part}.gguf").read_bytes())
    np.testing.assert_array_equal(load_logits(Path(parts[0]), split_paths=parts), logits_of(llama))


def test_a_missing_part_is_named(tiny: Path, tmp_path: Path) -> None:
    first = tmp_path / "split-00001-of-00002.gguf"
    first.write_bytes((tiny / first.name).read_bytes())
    with pytest.raises(mullama.FileError, match="00002-of-00002"):
        mullama.Model(first)
    with pytest.raises(mullama.FileError, match='there is no file "/nowhere"') as raised:
        mullama.Model(first, split_paths=[str(first), "/nowhere"])
    assert raised.value.code is ErrorCode.FILE_NOT_FOUND


def test_the_path_must_be_the_first_of_the_parts(tiny: Path) -> None:
    parts = [str(tiny / f"split-0000{i}-of-00002.gguf") for i in (1, 2)]
    with pytest.raises(mullama.Error):
        mullama.Model(tiny / "llama.gguf", split_paths=parts[::-1])


def test_a_vocabulary_alone_tokenizes_but_has_no_weights(tiny: Path, llama: mullama.Model) -> None:
    with mullama.Model(tiny / "llama.gguf", vocab_only=True) as model:
        assert model.tokenize("the water") == llama.tokenize("the water")
        assert (model.info.vocab_only, model.info.n_vocab, model.info.size) == (True, llama.n_vocab, 0)
        with pytest.raises(mullama.ArgumentError, match="vocab_only") as raised:
            model.create_context()
        assert raised.value.code is ErrorCode.UNSUPPORTED


@pytest.mark.parametrize(
    "options",
    [
        {"use_mmap": False},
        {"use_mlock": True},
        {"use_mmap": False, "use_mlock": True},
        {"use_direct_io": True},
        {"check_tensors": True},
        {"repack": False},
        {"devices": ["CPU"]},
        {"split_mode": "none"},
    ],
    ids=str,
)
def test_however_it_is_loaded_the_model_computes_the_same(options: dict, tiny: Path, llama: mullama.Model) -> None:
    np.testing.assert_array_equal(load_logits(tiny / "llama.gguf", **options), logits_of(llama))


def test_direct_io_and_locking_exclude_each_other(tiny: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match="use_direct_io and use_mlock exclude each other"):
        mullama.Model(tiny / "llama.gguf", use_direct_io=True, use_mlock=True)


def test_gpu_layers_on_a_build_without_gpu_are_a_warning(tiny: Path, llama: mullama.Model) -> None:
    if mullama.get_backend_limits().supports_gpu_offload:
        pytest.skip("this build has a GPU backend")
    assert llama.warnings() == []
    ignored = {
        "n_gpu_layers is 5": {"n_gpu_layers": 5},
        "main_gpu is 2": {"main_gpu": 2, "split_mode": "none"},
        "tensor_split has 2 parts": {"tensor_split": [0.3, 0.7]},
        "split_mode is row": {"split_mode": "row"},
    }
    for what, options in ignored.items():
        with mullama.Model(tiny / "llama.gguf", **options) as model:
            assert model.warnings() == [f"{what}, but this build has no GPU backend: all layers stay on the processor"]


def test_tensor_parallelism_without_devices_is_unsupported(tiny: Path) -> None:
    if mullama.get_backend_limits().supports_gpu_offload:
        pytest.skip("this build has a GPU backend")
    with pytest.raises(mullama.ArgumentError, match="needs >= 1 devices") as raised:
        mullama.Model(tiny / "llama.gguf", split_mode="tensor")
    assert raised.value.code is ErrorCode.UNSUPPORTED


def test_an_unknown_device_is_answered_with_those_there_are(tiny: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match='there is no device "CUDA9"; this machine has .*CPU') as raised:
        mullama.Model(tiny / "llama.gguf", devices=["CUDA9"])
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("parts", [[-1.0], [float("nan")], [float("inf")], [0.5] * 1000], ids=lambda p: str(p[:3]))
def test_proportions_that_mean_nothing_are_refused(parts: list[float], tiny: Path) -> None:
    with pytest.raises(mullama.ArgumentError, match="tensor_split"):
        mullama.Model(tiny / "llama.gguf", tensor_split=parts)


def test_numbers_that_are_not_numbers_are_found_when_asked_for(tiny: Path, tmp_path: Path) -> None:
    data = bytearray((tiny / "minimal.gguf").read_bytes())
    data[-2:] = b"\x00\x7e"  # NaN in F16
    (tmp_path / "nan.gguf").write_bytes(data)
    with mullama.Model(tmp_path / "nan.gguf"):
        pass
    with pytest.raises(mullama.FileError, match="invalid data|NaN|nan") as raised:
        mullama.Model(tmp_path / "nan.gguf", check_tensors=True)
    assert raised.value.code is ErrorCode.MODEL_INVALID


# Progress -------------------------------------------------------------------------------------------------------------


def test_progress_grows_from_0_to_1(tiny: Path) -> None:
    fractions: list[float] = []
    with mullama.Model(tiny / "llama.gguf", progress=fractions.append):
        pass
    assert fractions[0] == 0 and fractions[-1] == 1
    assert fractions == sorted(fractions)
    assert len(fractions) > 10


def test_progress_of_parts_does_not_start_again(tiny: Path) -> None:
    fractions: list[float] = []
    with mullama.Model(tiny / "split-00001-of-00002.gguf", progress=fractions.append):
        pass
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_a_progress_callback_can_stop_the_load(tiny: Path) -> None:
    calls: list[float] = []

    def stop_half_way(fraction: float) -> bool:
        calls.append(fraction)
        return fraction < 0.5

    with pytest.raises(mullama.CancelledError, match="was stopped by its progress callback") as raised:
        mullama.Model(tiny / "llama.gguf", progress=stop_half_way)
    assert raised.value.code is ErrorCode.CANCELLED
    assert calls[-1] >= 0.5 and calls[-2] < 0.5, "it is not asked again"


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_what_a_progress_callback_raises_reaches_the_caller(kind: type[BaseException], tiny: Path) -> None:
    before = mullama.live_objects()
    calls: list[float] = []

    def fail(fraction: float) -> None:
        calls.append(fraction)
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        mullama.Model(tiny / "llama.gguf", progress=fail)
    assert len(calls) == 1
    assert mullama.live_objects() == before


def test_ctrl_c_while_loading_stops_the_load(tiny: Path) -> None:
    calls: list[float] = []

    def interrupted(fraction: float) -> None:
        calls.append(fraction)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        mullama.Model(tiny / "llama.gguf", progress=interrupted)
    assert len(calls) < 10


# Sharing --------------------------------------------------------------------------------------------------------------


def test_a_context_works_on_after_its_model_was_closed(tiny: Path) -> None:
    model = mullama.Model(tiny / "llama.gguf")
    with model.create_context(n_ctx=64, n_threads=1) as context:
        model.close()
        with pytest.raises(mullama.ArgumentError) as raised:
            model.tokenize("the")
        assert raised.value.code is ErrorCode.CLOSED
        context.decode([1, 2, 3])
        assert np.isfinite(context.logits()).all()


def test_many_threads_tokenize_with_one_model_at_once(llama: mullama.Model) -> None:
    text = "the water of life " * 50
    expected = llama.tokenize(text)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            if llama.tokenize(text) != expected or llama.detokenize(expected) is None:
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_may_be_deleted_once_it_is_loaded(tiny: Path, tmp_path: Path, llama: mullama.Model) -> None:
    if ctypes.sizeof(ctypes.c_void_p) < 8 or os.name == "nt":
        pytest.skip("a mapped file cannot be deleted there")
    path = tmp_path / "model.gguf"
    path.write_bytes((tiny / "llama.gguf").read_bytes())
    with mullama.Model(path) as model:
        path.unlink()
        np.testing.assert_array_equal(logits_of(model), logits_of(llama))
