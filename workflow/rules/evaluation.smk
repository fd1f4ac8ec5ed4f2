# Distances of samples, and the floors: held-out images, as they are and through each codec.


rule round_trip:
    input:
        code=code("round_trip"),
        images=heldout_images,
        statistics="results/statistics/{codec}.json",
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
        reference=codec_reference,
    output:
        evaluation="results/evaluations/round_trip/{codec}.json",


use rule evaluate_heldout as evaluate with:
    input:
        code=code("evaluate"),
        images="results/samples/{cell}.zip",
        reference=cell_reference,
    output:
        evaluation="results/evaluations/cells/{cell}.json",
