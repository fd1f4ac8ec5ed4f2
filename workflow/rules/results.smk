# Tables, figures and the report.

EVALUATIONS = [
    *expand("results/evaluations/heldout/{dataset}.json", dataset=SUITE["datasets"]),
    *expand("results/evaluations/round_trip/{codec}.json", codec=SUITE["codecs"]),
    *expand("results/evaluations/truncations/{name}.json", name=SUITE["truncations"]),
    *expand("results/evaluations/upsamplings/{name}.json", name=SUITE["upsamplings"]),
    *expand("results/evaluations/selections/{run}.json", run=SUITE["selections"]),
    *expand("results/evaluations/cells/{cell}.json", cell=SUITE["cells"]),
]
STATISTICS = [
    *expand("results/statistics/codecs/{codec}.json", codec=SUITE["codecs"]),
    *expand("results/statistics/spectra/{name}.json", name=SUITE["spectra"]),
]
LOGS = expand("results/training/{run}.jsonl", run=models_of(SUITE))
GRIDS = [
    *expand("results/grids/datasets/{dataset}.png", dataset=SUITE["datasets"]),
    *expand("results/grids/truncations/{name}.png", name=SUITE["truncations"]),
    *expand("results/grids/upsamplings/{name}.png", name=SUITE["upsamplings"]),
    *expand("results/grids/cells/{cell}.png", cell=SUITE["cells"]),
]
FIGURES = [
    "results/figures/loss.png",
    *expand("results/figures/distance-{dataset}.png", dataset=measured_against(SUITE)),
    *expand("results/figures/coefficients-{codec}.png", codec=SUITE["codecs"]),
    *expand("results/figures/truncation-{name}.png", name=SUITE["truncations"]),
    *expand("results/figures/spectrum-{name}.png", name=SUITE["spectra"]),
    *expand("results/figures/snr-{name}.png", name=dct_spectra(SUITE)),
]


rule tables:
    input:
        plan=PLAN,
        published=PUBLISHED_FILE,
        evaluations=EVALUATIONS,
        statistics=STATISTICS,
        logs=LOGS,
        stale=stale("tables"),
    output:
        [
            shown(path, "Tables", table=Path(path).stem, format=Path(path).suffix)
            for path in TABLES
        ],
        metrics="results/metrics.json",
        record="results/records/tables.json",
    log:
        "logs/tables.log",
    message:
        "tables"
    shell:
        "python -m dctdiff.stages.tables --plan {input.plan} --published {input.published} --evaluations results/evaluations"
        " --statistics results/statistics --logs results/training --out_tables results/tables"
        " --out_metrics {output.metrics}"
        " --out_record {output.record}"


rule report:
    input:
        template="src/dctdiff/report/page.html.j2",
        plan=PLAN,
        published=PUBLISHED_FILE,
        tables=TABLES,
        evaluations=EVALUATIONS,
        statistics=STATISTICS,
        logs=LOGS,
        grids=GRIDS,
        stale=stale("report"),
    output:
        figures=[shown(path, "Figures", figure=Path(path).stem) for path in FIGURES],
        report="results/report/index.html",
        record="results/records/report.json",
    log:
        "logs/report.log",
    params:
        arguments=arguments("report"),
    message:
        "report"
    shell:
        "python -m dctdiff.stages.report --plan {input.plan} --published {input.published} --tables results/tables"
        " --evaluations results/evaluations --statistics results/statistics --logs results/training"
        " --grids results/grids {params.arguments} --out_figures results/figures"
        " --out_report {output.report}"
        " --out_record {output.record}"
