"""Markdown tables of the files that the benchmarks wrote."""

import re
from pathlib import Path

import pandas as pd

from dctdiff.bench.shapes import IMAGES_OF_A_GPU
from dctdiff.pipeline.files import read_json
from dctdiff.report.tables.fields import NONE

BOUNDED = ("attention", "matrix products", "optimizer and EMA", "other compiled kernels")  # kinds of kernels


def read_results(folder: Path) -> dict[str, dict]:
    """Name of a benchmark -> its JSON."""
    return {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}


def device_name(result: dict) -> str:
    """Of the folder for results of the device, e.g. nvidia-h200."""
    return re.sub(r"[^a-z0-9]+", "-", result["versions"]["device"].lower()).strip("-")


def tables_of_devices(folder: Path) -> dict[str, str]:
    """Name -> Markdown of the tables of all devices, each of which has a folder in ``folder``."""
    built = [build_tables(read_results(device)) for device in sorted(folder.iterdir())]
    names = dict.fromkeys(name for tables in built for name in tables)
    return {name: "\n\n".join(tables[name] for tables in built if name in tables) for name in names}


def build_tables(results: dict[str, dict]) -> dict[str, str]:
    """Name -> Markdown, with what it was measured on, of the tables whose benchmarks have run."""
    makers = {  # and the benchmarks of which one must have run
        "codec": (codec_table, ("codec",)),
        "codec-gpu": (codec_gpu_table, ("codec-gpu",)),
        "training": (training_table, trainings(results)),
        "step": (step_table, ("training",)),
        "bounds": (bounds_table, ("bounds",)),
        "scaling": (scaling_table, scalings(results)),
        "sampling": (sampling_table, ("sampling",)),
        "more": (more_table, ("start", "features", "sharing", "loading", "rounding")),
    }
    tables = {}
    for name, (make, benchmarks) in makers.items():
        found = [results[benchmark] for benchmark in benchmarks if benchmark in results]
        if found:
            table = make(results).to_markdown(index=False, disable_numparse=True)
            tables[name] = f"{table}\n\n{measured_on(found)}"
    return tables


def measured_on(results: list[dict]) -> str:
    lines = {f"{r['versions']['device']}, torch {r['versions']['torch']}, {r['date']}" for r in results}
    return f"Measured on: {'; '.join(sorted(lines))}."


def partner(results: dict[str, dict], name: str, other: str) -> dict:
    """The result ``name`` if it was measured as ``other`` was; else nothing compares."""
    if name not in results:
        return {}
    versions, others = results[name]["versions"], results[other]["versions"]
    # A package that only one of them loaded makes no difference.
    return results[name] if all(versions[key] == others[key] for key in versions.keys() & others.keys()) else {}


def trainings(results: dict[str, dict]) -> list[str]:
    """The benchmark of training, and its variants after it."""
    return sorted(name for name in results if name.startswith("training") and name not in scalings(results))


def scalings(results: dict[str, dict]) -> list[str]:
    """Trainings by several GPUs, and by one with as many images for each: training-<run>-<GPUs>x<images>."""
    return sorted(name for name in results if re.fullmatch(r"training-.+-\d+x\d+", name))


def by_run(models: list[dict]) -> dict[str, dict]:
    return {model["run"]: model for model in models}


def codec_table(results: dict[str, dict]) -> pd.DataFrame:
    """Images per second of one CPU core."""
    official = partner(results, "official-codec", "codec").get("sizes", [])
    official = {size["resolution"]: size for size in official}
    rows = []
    for size in results["codec"]["sizes"]:
        row = size_columns(size)
        for kind in ("encode", "decode"):
            rate = size[f"{kind}_images_per_second"]
            theirs = official.get(size["resolution"], {}).get(f"{kind}_images_per_second")
            row |= {f"{kind} (images/s)": whole(rate), f"official {kind}": whole(theirs)}
            row[f"{kind}: times"] = ratio(rate, theirs)
        rows.append(row)
    return pd.DataFrame(rows)


def codec_gpu_table(results: dict[str, dict]) -> pd.DataFrame:
    """Images per second, and the least bytes that must move beside the bandwidth of a copy."""
    bandwidth = partner(results, "ceilings", "codec-gpu").get("copy_tb_s")
    rows = []
    for size in results["codec-gpu"]["sizes"]:
        row = size_columns(size)
        for kind in ("encode", "decode"):
            moved = size[f"{kind}_gb_per_second"]
            row |= {f"{kind} (images/s)": whole(size[f"{kind}_images_per_second"]), f"{kind} (GB/s)": whole(moved)}
            row[f"{kind}: of a copy"] = percent(moved / bandwidth / 1e3 if bandwidth else None)
        rows.append(row)
    return pd.DataFrame(rows)


def size_columns(size: dict) -> dict[str, int]:
    return {"pixels": size["resolution"], "B": size["block_size"], "K": size["kept_coefficients"]}


def training_table(results: dict[str, dict]) -> pd.DataFrame:
    official = by_run(partner(results, "official", "training").get("models", [])) if "training" in results else {}
    rows = []
    for name in trainings(results):
        for model in results[name]["models"]:
            plain = name == "training"
            peak = partner(results, "ceilings", name).get("matrix_tflop_s")
            theirs = official.get(model["run"], {}).get("training_images_per_second") if plain else None
            rows.append(
                {
                    "model": model["run"],
                    "how": how(model),
                    "batch": model["batch_size"],
                    "images/s": whole(model["images_per_second"]),
                    "official": whole(theirs),
                    "times": ratio(model["images_per_second"], theirs),
                    "TFLOP/s": whole(model["tflop_s"]),
                    "of a matrix product": percent(model["tflop_s"] / peak if peak else None),
                    "GPU waits": percent(model["waiting_share"], 1),
                    "peak GiB": number(model["peak_gib"], 1),
                    "mean loss of 20 steps": number(model["loss"], 4),
                }
            )
    return pd.DataFrame(rows)


def step_table(results: dict[str, dict]) -> pd.DataFrame:
    """Milliseconds of one training step by kind of kernel."""
    return pd.DataFrame(
        [
            {"model": model["run"], **{kind: number(ms, 1) for kind, ms in model["milliseconds_per_step"].items()}}
            for model in results["training"]["models"]
        ]
    )


def bounds_table(results: dict[str, dict]) -> pd.DataFrame:
    """Of each kind of kernel the least milliseconds of a step, by the ceilings of the GPU, and what was measured.

    Attention: its best kernel by itself.
    """
    ceilings = partner(results, "ceilings", "bounds")
    measured = by_run(partner(results, "training", "bounds").get("models", []))
    rows = []
    for model in results["bounds"]["models"]:
        least = {"attention": min(model["attention_milliseconds"].values())}
        if ceilings:
            least |= {
                "matrix products": 1e3 * model["product_tflop"] / ceilings["matrix_tflop_s"],
                "optimizer and EMA": model["optimiser_gb"] / ceilings["copy_tb_s"],
                "other compiled kernels": model["between_products_gb"] / ceilings["copy_tb_s"],
            }
        taken = measured.get(model["run"], {}).get("milliseconds_per_step", {})
        shown = {kind: f"{number(least.get(kind), 1)} / {number(taken.get(kind), 1)}" for kind in BOUNDED}
        whole_step = (
            f"{number(sum(least.values()) if ceilings else None, 1)} / {number(sum(taken.values()) or None, 1)}"
        )
        rows.append({"model": model["run"], "tokens": model["tokens"], **shown, "together": whole_step})
    return pd.DataFrame(rows)


def scaling_table(results: dict[str, dict]) -> pd.DataFrame:
    """Images per second of several GPUs, and how many times that of one with the batch of weak scaling."""
    rows = []
    for name in scalings(results):
        [model] = results[name]["models"]
        alone = partner(results, f"training-{model['run']}-1x{IMAGES_OF_A_GPU}", name)
        one = alone["models"][0]["images_per_second"] if alone else None
        rows.append(
            {
                "model": model["run"],
                "GPUs": model["processes"],
                "images of each": model["batch_size"] // model["processes"],
                "in parts": model["accumulation_steps"],
                "images/s": whole(model["images_per_second"]),
                "times one GPU": ratio(model["images_per_second"], one),
                "peak GiB of each": number(model["peak_gib"], 1),
                "mean loss of 20 steps": number(model["loss"], 4),
            }
        )
    return pd.DataFrame(rows)


def sampling_table(results: dict[str, dict]) -> pd.DataFrame:
    official = by_run(partner(results, "official", "sampling").get("models", []))
    peak = partner(results, "ceilings", "sampling").get("matrix_tflop_s")
    rows = []
    for model in results["sampling"]["models"]:
        theirs = official.get(model["run"], {}).get("network_evaluations_per_second")
        rate = model["evaluations_per_second"]
        rows.append(
            {
                "model": model["run"],
                "batch": model["batch_size"],
                "noise to JPEG (images x NFE/s)": whole(rate),
                "network alone": whole(model["network_evaluations_per_second"]),
                "official, network alone": whole(theirs),
                "times": ratio(rate, theirs),
                "TFLOP/s": whole(model["tflop_s"]),
                "of a matrix product": percent(model["tflop_s"] / peak if peak else None),
            }
        )
    return pd.DataFrame(rows)


def more_table(results: dict[str, dict]) -> pd.DataFrame:
    rows = []
    if "start" in results:
        start = results["start"]
        for state in ("empty", "full"):
            seconds = start[f"first_step_seconds_{state}_cache"]
            rows.append((f"{start['run']}: first step, cache of the compiler {state}", f"{seconds:.0f} s"))
    if "features" in results:
        found = results["features"]
        what = f"features of {found['n_images']:,} images of 32 pixels and the distance"
        rows.append((what, f"{found['seconds']:.0f} s"))
        rows.append(("its difference to float32 on a CPU", f"{found['relative_difference']:.1e}"))
    for stage in results.get("sharing", {}).get("stages", []):
        what = f"{stage['stage']}: {stage['measured'][-1]['processes']} GPUs instead of one"
        rows.append((what, f"{stage['times']:.2f} times"))
    if "loading" in results:
        for dataset, rate in results["loading"]["images_per_second"].items():
            rows.append((f"{dataset}: images loaded by the thread", f"{whole(rate)} images/s"))
    if "rounding" in results:
        for way, distance in results["rounding"]["relative_distance"].items():
            rows.append((f"prediction in {way}: distance to float32, of its length", f"{distance:.1e}"))
    return pd.DataFrame(rows, columns=["what", "measured"])


def how(model: dict) -> str:
    words = [model["precision"]]
    words += [model["attention"]] if model["attention"] != "sdpa" else []
    words += ["not compiled"] if model["compile"] == "never" else []
    words += ["gradient checkpointing"] if model["gradient_checkpointing"] else []
    return ", ".join(words)


def number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def whole(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def percent(value: float | None, digits: int = 0) -> str:
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def ratio(value: float, other: float | None) -> str:
    return NONE if other is None else f"{value / other:.2f}" if value < 10 * other else f"{value / other:.0f}"
