"""Benchmarks: what they count and how they show it; not how fast anything is."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dctdiff.bench.__main__ import benchmarks
from dctdiff.bench.bounds import between_products_bytes, optimiser_bytes, product_flops
from dctdiff.bench.measuring import idle_shares, kernel_milliseconds
from dctdiff.bench.shapes import SAMPLED, TRAINED, random_images, run_and_config
from dctdiff.bench.tables import build_tables
from dctdiff.models.cost import forward_flops, n_tokens, parameters

CUDA, CPU = torch.autograd.DeviceType.CUDA, torch.autograd.DeviceType.CPU


def profiler(*kernels):
    """What torch.profiler has of kernels (start, end, name) in microseconds, beside something of the CPU."""
    events = [SimpleNamespace(device_type=CUDA, time_range=SimpleNamespace(start=a, end=b)) for a, b, _ in kernels]
    events.append(SimpleNamespace(device_type=CPU, time_range=SimpleNamespace(start=-500, end=5000)))
    averages = [SimpleNamespace(key=name, self_device_time_total=end - start) for start, end, name in kernels]
    return SimpleNamespace(events=lambda: events, key_averages=lambda: averages)


def test_idle_time_is_what_no_kernel_covers():
    # Kernels overlap, one lies within another, and they come in any order; gaps of 2 and of 50 microseconds.
    shares = idle_shares(profiler((150, 200, "c"), (0, 60, "a"), (50, 98, "b"), (10, 20, "a"), (100, 100, "d")))
    assert shares == pytest.approx({"idle_share": 52 / 200, "waiting_share": 50 / 200})
    assert idle_shares(profiler((0, 10, "a"), (10, 30, "b"))) == {"idle_share": 0, "waiting_share": 0}


def test_kernels_are_counted_by_kind():
    kernels = [
        (0, 2000, "nvjet_sm90_tst_256x128"),
        (2000, 5000, "cudnn_generated_fort_native_sdpa_sm90_flash_bprop"),
        (5000, 5500, "triton_poi_fused_gelu"),
        (5500, 5600, "void at::multi_tensor_apply_kernel"),
        (5600, 5700, "Memset"),
    ]
    assert kernel_milliseconds(profiler(*kernels), steps=2) == pytest.approx(
        {
            "attention": 1.5, "matrix products": 1.0, "optimizer and EMA": 0.05, "other compiled kernels": 0.25,
            "rest": 0.05,
        }
    )  # fmt: skip


def test_operations_of_a_forward_written_out():
    _, config = run_and_config("ffhq256-dctdiff-m")
    tokens, width, blocks, skips, values = 1025, 768, 17, 8, 6 * 8
    linear = blocks * 12 * width**2 * tokens + skips * 2 * width**2 * tokens
    linear += width * values * 1024 + width * values * tokens  # in for each token of the image, out for all
    attention = blocks * 2 * tokens**2 * width
    assert n_tokens(config) == tokens
    assert forward_flops(config) == pytest.approx(2 * (linear + attention))


def test_every_shape_is_one_of_the_paper_suite():
    for name in TRAINED.keys() | SAMPLED.keys():
        run, config = run_and_config(name, mixed_precision="auto")
        assert (run.mixed_precision, config.space) == ("auto", "dct")


def test_random_images_are_a_map_of_a_file():
    with random_images(256, at_least=3) as images:
        assert isinstance(images, np.memmap) and images.dtype == np.uint8
        assert images.shape[1:] == (256, 256, 3) and len(images) >= 3
        assert 120 < images[-1].mean() < 135  # the last of them too is filled


MODEL = {
    "run": "m", "batch_size": 256, "attention": "sdpa", "compile": "auto", "gradient_checkpointing": False,
    "precision": "bf16", "images_per_second": 6000.0, "tflop_s": 300.0, "waiting_share": 0.004, "peak_gib": 9.25,
    "loss": 1.0, "first_step_seconds": 31.6, "milliseconds_per_step": {"attention": 2.0},
}  # fmt: skip


def test_tables_say_what_was_not_measured():
    size = {"resolution": 32, "block_size": 2, "kept_coefficients": 4}
    size |= {"encode_images_per_second": 64_000.0, "decode_images_per_second": 120_000.0}
    size |= {"encode_gb_per_second": 1500.0, "decode_gb_per_second": 30.0}
    here = {"versions": {"device": "this GPU", "torch": "2.0", "threads": "1", "numba": "1"}, "date": "2026-01-01"}
    results = {"codec": {"sizes": [size], **here}, "training": {"models": [MODEL], **here}}
    tables = build_tables(results)
    assert tables.keys() == {"codec", "training", "step"}
    assert "n/a" in tables["codec"] and "n/a" in tables["training"]

    results["official-codec"] = {
        "sizes": [{"resolution": 32, "encode_images_per_second": 640.0, "decode_images_per_second": 60_000.0}],
        **here,
    }
    results["official"] = {"models": [{"run": "m", "training_images_per_second": 2000.0}], **here}
    results["codec-gpu"] = results["codec"]
    results["ceilings"] = {"matrix_tflop_s": 600.0, "copy_tb_s": 3.0, **here}
    start = {"run": "m", "first_step_seconds_empty_cache": 31.6, "first_step_seconds_full_cache": 9.0}
    results["start"] = {**start, **here}
    tables = build_tables(results)
    codec = [cell.strip() for cell in tables["codec"].splitlines()[2].split("|")]
    assert codec[4:10] == ["64,000", "640", "100", "120,000", "60,000", "2.00"]
    assert "| 50 %" in tables["codec-gpu"] and "| 1 %" in tables["codec-gpu"]
    training = [cell.strip() for cell in tables["training"].splitlines()[2].split("|")]
    assert training[1:10] == ["m", "bf16", "256", "6,000", "2,000", "3.00", "300", "50 %", "0.4 %"]
    assert "32 s" in tables["more"]
    assert tables["step"].endswith("Measured on: this GPU, torch 2.0, 2026-01-01.")

    # Numbers of two machines do not compare; a package that one of them did not load changes nothing.
    results["ceilings"] = {"matrix_tflop_s": 600.0, **here, "versions": {"device": "this GPU", "torch": "2.0"}}
    results["official"]["versions"] = {**here["versions"], "device": "another GPU"}
    training = [cell.strip() for cell in build_tables(results)["training"].splitlines()[2].split("|")]
    assert training[4:9] == ["6,000", "n/a", "n/a", "300", "50 %"]


def test_variants_of_the_training_come_after_it_and_count_in_what_it_was_measured_on():
    def measured(date, **changes):
        return {"models": [{**MODEL, **changes}], "versions": {"device": "GPU", "torch": "2.0"}, "date": date}

    variant = measured("2026-02-02", gradient_checkpointing=True)
    results = {"training-large": variant, "training": measured("2026-01-01")}
    rows = build_tables(results)["training"].splitlines()
    assert "| bf16 " in rows[2] and "| bf16, gradient checkpointing " in rows[3]
    assert rows[-1] == "Measured on: GPU, torch 2.0, 2026-01-01; GPU, torch 2.0, 2026-02-02."
    assert build_tables({"training-large": variant}).keys() == {"training"}


def test_least_bytes_between_products_written_out():
    _, config = run_and_config("cifar10-dctdiff-m")
    activation = 2 * 256 * 65 * 768  # bytes, in bf16
    first = 2 + 2 + 2 + 2 + 4 + 4  # residual and LayerNorm, twice, and GELU: read, write
    back = 4 + 4 + 4 + 2 * (3 + 1) + 2  # GELU, LayerNorm twice, biases
    assert between_products_bytes(config, 256) == activation * (17 * (first + back) + 8 * (3 + 3))
    assert optimiser_bytes(config) == 40 * parameters(config)
    # The inner products make the difference to forward_flops.
    assert product_flops(config, 2) == pytest.approx(6 * (forward_flops(config) - 2 * 2 * 65**2 * 768 * 17))


def test_bounds_stand_beside_what_was_measured():
    here = {"versions": {"device": "GPU", "torch": "2.0"}, "date": "2026-01-01"}
    bounds = {"run": "m", "tokens": 65, "product_tflop": 6.0, "between_products_gb": 12.0, "optimiser_gb": 3.0}
    bounds["attention_milliseconds"] = {"CUDNN_ATTENTION": 5.0, "FLASH_ATTENTION": 4.0}
    results = {"bounds": {"models": [bounds], **here}}
    assert "| 4.0 / n/a" in build_tables(results)["bounds"]
    results["ceilings"] = {"matrix_tflop_s": 600.0, "copy_tb_s": 3.0, **here}
    taken = {"attention": 5.0, "matrix products": 20.0, "optimizer and EMA": 2.0, "other compiled kernels": 8.0}
    results["training"] = {"models": [{**MODEL, "milliseconds_per_step": taken | {"rest": 1.0}}], **here}
    cells = [cell.strip() for cell in build_tables(results)["bounds"].splitlines()[2].split("|")]
    assert cells[1:-1] == ["m", "65", "4.0 / 5.0", "10.0 / 20.0", "1.0 / 2.0", "4.0 / 8.0", "19.0 / 36.0"]


def test_scaling_is_against_one_gpu_of_the_same_machine():
    def measured(processes, batch_size, rate, device="GPU"):
        model = {**MODEL, "processes": processes, "batch_size": batch_size, "images_per_second": rate}
        versions = {"device": device, "torch": "2.0"}
        return {"models": [model | {"accumulation_steps": 1}], "versions": versions, "date": "2026-01-01"}

    results = {
        "training-m-1x256": measured(1, 256, 1000.0), "training-m-2x256": measured(2, 512, 1900.0),
        "training-m-2x128": measured(2, 256, 1600.0), "training-m-4x256": measured(4, 1024, 3900.0, "another"),
    }  # fmt: skip
    tables = build_tables(results)
    assert tables.keys() == {"scaling"}
    rows = [[cell.strip() for cell in line.split("|")[2:7]] for line in tables["scaling"].splitlines()[2:6]]
    assert rows == [
        ["1", "256", "1", "1,000", "1.00"], ["2", "128", "1", "1,600", "1.60"],
        ["2", "256", "1", "1,900", "1.90"], ["4", "256", "1", "3,900", "n/a"],
    ]  # fmt: skip


def test_a_machine_with_several_gpus_measures_one_of_them_and_all():
    assert not any("scaling" in name or "x256" in name for name in benchmarks(0, None))
    two = [name for name in benchmarks(2, None) if name[-1].isdigit()]
    assert {"training-cifar10-dctdiff-m-1x256", "training-cifar10-dctdiff-m-2x256"} < set(two)
    assert "training-cifar10-dctdiff-m-2x128" in two and "training-ffhq256-dctdiff-m-2x256" in two
