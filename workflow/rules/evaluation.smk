# Distances of samples; the floors: held-out images, as they are and through each codec; and what
# may be dropped or doubled without a model: m* and DCT upsampling.


rule round_trip:
    input:
        code=code("round_trip"),
        images=heldout_images,
        statistics="results/statistics/codecs/{codec}.json",
    output:
        images="results/round_trip/{codec}.zip",
    params:
        round_trip=SUITE["round_trip"],
        arguments=arguments(SUITE["round_trip"]),
    shell:
        "python -m dctdiff.stages.round_trip --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_images {output.images}"


rule evaluate_heldout:
    input:
        code=code("evaluate"),
        images="data/{dataset}/heldout.zip",
        reference="data/{dataset}/reference.npz",
    output:
        evaluation="results/evaluations/heldout/{dataset}.json",
    params:
        extractor=SUITE["extractor"],
        arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.evaluate --images {input.images} --reference {input.reference}"
        " {params.arguments} --out_evaluation {output.evaluation}"


use rule evaluate_heldout as evaluate_round_trip with:
    input:
        code=code("evaluate"),
        images="results/round_trip/{codec}.zip",
        reference=reference_of(codec_slice, "dataset"),
    output:
        evaluation="results/evaluations/round_trip/{codec}.json",


use rule evaluate_heldout as evaluate with:
    input:
        code=code("evaluate"),
        images="results/samples/{cell}.zip",
        reference=reference_of(cell_slice, "reference"),
    output:
        evaluation="results/evaluations/cells/{cell}.json",


rule truncation:
    input:
        code=code("truncation"),
        images=training_images(truncation_slice),
    output:
        truncation="results/evaluations/truncations/{truncation}.json",
        grid="results/grids/truncations/{truncation}.png",
    params:
        truncation=truncation_slice,
        extractor=SUITE["extractor"],
        arguments=written(truncation_slice),
        extractor_arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.truncation --images {input.images} {params.arguments}"
        " {params.extractor_arguments} --out_truncation {output.truncation} --out_grid {output.grid}"


rule upsampling:
    input:
        code=code("upsampling"),
        images=training_images(upsampling_slice),
    output:
        upsampling="results/evaluations/upsamplings/{upsampling}.json",
        grid="results/grids/upsamplings/{upsampling}.png",
    params:
        upsampling=upsampling_slice,
        extractor=SUITE["extractor"],
        arguments=written(upsampling_slice),
        extractor_arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.upsampling --images {input.images} {params.arguments}"
        " {params.extractor_arguments} --out_upsampling {output.upsampling} --out_grid {output.grid}"
