"""Invalid specs with the expected message of each. No message may show a value."""

from __future__ import annotations

from typing import Any

from tests.support.specs import key, literal

CANARY = "c4n4ry-v4lu3"

INVALID: list[tuple[dict[str, Any], str]] = [
    (
        {"dataFrom": {}},
        "spec.dataFrom: at least one of secretRef, secretRefs, parameters, find and entries must be set",
    ),
    ({"dataFrom": {"secretRef": {}}}, "spec.dataFrom.secretRef.name: is required"),
    (
        {"dataFrom": {"secretRef": {"name": ""}}},
        "spec.dataFrom.secretRef.name: must be the name of an AWS secret (1 to 512 of",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "x" * 2049}}},
        "spec.dataFrom.secretRef.name: length must be at most 768",
    ),
    (
        {"dataFrom": {"find": {}}},
        "spec.dataFrom.find: at least one of tagKey, tags, name.regexp and name.prefix must be set",
    ),
    ({"dataFrom": {"find": {"name": {"regexp": "("}}}}, "spec.dataFrom.find.name.regexp: not a regular expression"),
    (
        {"dataFrom": {"secretRef": {"name": "s"}, "rewrite": [{"source": "a", "target": "$1"}]}},
        "spec.dataFrom.rewrite[0]: target names group 1; source has 0",
    ),
    (
        {"dataFrom": {"find": {"name": {}}}},
        "spec.dataFrom.find: at least one of tagKey, tags, name.regexp and name.prefix",
    ),
    (
        {"dataFrom": {"find": {"tags": {}}}},
        "spec.dataFrom.find: at least one of tagKey, tags, name.regexp and name.prefix",
    ),
    (
        {"dataFrom": {"secretRefs": []}},
        "spec.dataFrom: at least one of secretRef, secretRefs, parameters, find and entries must be set",
    ),
    (
        {"dataFrom": {"entries": [{"rewrite": []}]}},
        "spec.dataFrom.entries[0]: exactly one of secretRef, parameters and find must be set",
    ),
    (
        {"dataFrom": {"entries": [{"secretRef": {"name": "s"}}], "invalidKeys": "Skip"}},
        "spec.dataFrom: entries and invalidKeys are mutually exclusive",
    ),
    ({"dataFrom": {"secretRefs": {"name": "s"}}}, "spec.dataFrom.secretRefs: must be a list"),
    (
        {"dataFrom": {"secretRef": {"name": "s"}, "rewrite": [{"source": "a", "target": "b"}] * 21}},
        "spec.dataFrom.rewrite: must have at most 20 items",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "s", "decode": "hex"}}},
        "spec.dataFrom.secretRef.decode: must be 'base64'",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "s"}, "invalidKeys": "Drop"}},
        "spec.dataFrom.invalidKeys: must be 'Error', ",
    ),
    ({"target": {"policy": "Append"}}, "spec.target.policy: must be 'Replace' or 'Merge'"),
    (
        {"target": {"policy": "Merge"}, "secretMetadata": {"labels": {"a": "b"}}},
        "spec: secretMetadata, immutable and recreateOnTypeChange are not possible with target.policy: Merge",
    ),
    (
        {"target": {"policy": "Merge"}, "immutable": True},
        "spec: secretMetadata, immutable and recreateOnTypeChange are not possible with target.policy: Merge",
    ),
    ({"dataFrom": "app"}, "spec.dataFrom: must be an object"),
    ({"data": {"a": CANARY}}, "spec.data: must be a list"),
    ({"data": [CANARY]}, "spec.data[0]: must be an object"),
    ({"data": [{"value": CANARY}]}, "spec.data[0].name: is required"),
    ({"data": [{"name": "a", "value": 5}]}, "spec.data[0].value: must be a string"),
    (
        {"data": [{"name": "a", "templateOnly": True, "valueFrom": {"template": CANARY}}]},
        "spec.data[0]: templateOnly and valueFrom.template are mutually exclusive",
    ),
    (
        {"data": [{"name": "a", "valueFrom": {"template": CANARY, "secretRef": {"name": "s"}}}]},
        "spec.data[0].valueFrom: exactly one of secretRef, secretKeyRef, parameterRef and template must be set",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "s"}, "rewrite": [{"source": "a"}]}},
        "spec.dataFrom.rewrite[0]: either source and target, or case must be set",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "s"}, "rewrite": [{"source": "a", "target": "b", "case": "Upper"}]}},
        "spec.dataFrom.rewrite[0]: either source and target, or case must be set",
    ),
    ({"data": [key("a", "s", "")]}, "spec.data[0].valueFrom.secretKeyRef.key: length must be at least 1"),
    (
        {"data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        "spec.data[0].valueFrom.secretKeyRef: exactly one of key, path and jmesPath must be set",
    ),
    (
        {"data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "path": "a..b"}}}]},
        "spec.data[0].valueFrom.secretKeyRef.path: names and numbers must not be empty",
    ),
    (
        {"data": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "jmesPath": "a["}}}]},
        "spec.data[0].valueFrom.secretKeyRef.jmesPath: not a JMESPath expression",
    ),
    (
        {"data": [{"name": "a", "secretKeyRef": {"name": "s", "key": "k"}}]},
        "spec.data[0].secretKeyRef: unknown field",
    ),
    ({"data": [literal("a", CANARY)], "iamRole": "r"}, "spec.iamRole: unknown field"),
    ({"data": [literal("a", CANARY)], "IAMRole": 5}, "spec.IAMRole: must be a string"),
    (
        {"data": [literal("a", CANARY)], "IAMRole": "no role"},
        "spec.IAMRole: must be the name of an IAM role or its ARN",
    ),
    (
        {"data": [literal("a", CANARY)], "IAMRole": "arn:aws:iam::12:role/x"},
        "spec.IAMRole: must be the name of an IAM role or its ARN",
    ),
    (
        {"dataFrom": {"secretRef": {"name": "arn:aws:secretsmanager:x:secret"}}},
        "spec.dataFrom.secretRef.name: must be the name of an AWS secret",
    ),
    (
        {"data": [literal("a", CANARY)], "AWSAccountID": "12345678910"},
        "spec.AWSAccountID: must be the 12 digits of an AWS account ID",
    ),
    (
        {"data": [literal("a", CANARY)], "AWSAccountID": "\u0661" * 12},
        "spec.AWSAccountID: must be the 12 digits of an AWS account ID",
    ),
    (
        {"data": [literal("a", CANARY)], "AWSAccountID": 123456789012},
        "spec.AWSAccountID: must be a string",
    ),
    (
        {"data": [literal("a", CANARY)], "IAMRole": "r", "AWSAccountID": "123456789012"},
        "spec: IAMRole and AWSAccountID are mutually exclusive",
    ),
    (
        {"data": [literal("a", CANARY)], "deletionPolicy": "Orphan"},
        "spec.deletionPolicy: must be 'Retain' or 'Delete'",
    ),
    (
        {"data": [literal("a", CANARY)], "secretMetadata": {"labels": {"a": 1}}},
        "spec.secretMetadata.labels.a: must be a string",
    ),
    *(
        (
            {"data": [literal("a", CANARY)], "secretMetadata": {kind: {"fine": "", wrong: "x"}}},
            f"spec.secretMetadata.{kind}: the keys {shown} are not valid; a key is an optional DNS subdomain",
        )
        for kind in ("labels", "annotations")
        for wrong, shown in {
            "two words": "'two words'",
            "": "''",
            "-a": "'-a'",
            "x" * 64: f"'{'x' * 64}'",
            "a/": "'a/'",
            "/a": "'/a'",
            "a/b/c": "'a/b/c'",
            "a_b/c": "'a_b/c'",
            f"{'x' * 254}/{'y' * 63}": f"'{'x' * 80}...'",
        }.items()
    ),
    (
        {"data": [literal("a", CANARY)], "secretMetadata": {"labels": {"Example.com/a": "b"}}},
        "spec.secretMetadata.labels: the keys 'Example.com/a' are not valid",
    ),
    *(
        (
            {"data": [literal("a", CANARY)], "secretMetadata": {"labels": {"fine": "", "team": wrong}}},
            "spec.secretMetadata.labels.team: must be empty or 1 to 63 letters",
        )
        for wrong in (f"{CANARY} x", "a/b", "-a", "a.", "\u00e9")
    ),
    (
        {"data": [literal("a", CANARY)], "secretMetadata": {"annotations": {"a": CANARY, "b": "x" * 262_144}}},
        "spec.secretMetadata.annotations: keys and values take 262166 bytes; at most 262144 are possible",
    ),
    (
        {"data": [literal("a", CANARY)], "secretMetadata": {"finalizers": []}},
        "spec.secretMetadata.finalizers: unknown field",
    ),
    (
        {"data": [literal("a", CANARY)], "secretMetadata": {"labels": [CANARY]}},
        "spec.secretMetadata.labels: must be a map",
    ),
    (
        {"data": [literal("a", CANARY)], "target": {"name": "a" * 254}},
        "spec.target.name: length must be at most 253",
    ),
    (
        {"data": [literal("a", CANARY)], "target": {"name": "Not/A name"}},
        "spec.target.name: must be a lowercase RFC 1123 subdomain",
    ),
    (
        {"data": [literal("a", CANARY)], "type": "kubernetes.io/service-account-token"},
        "spec.type: kubernetes.io/service-account-token and bootstrap.kubernetes.io/token grant access to the cluster",
    ),
    (
        {"data": [literal("a", CANARY)], "type": "bootstrap.kubernetes.io/token"},
        "spec.type: kubernetes.io/service-account-token and bootstrap.kubernetes.io/token grant access to the cluster",
    ),
    ({"data": [literal("a", CANARY)], "refreshInterval": "5"}, "spec.refreshInterval: must be a duration"),
    ({"data": [literal("a", CANARY)], "refreshInterval": "9s"}, "spec.refreshInterval: must be at least 10s"),
    ({"data": [literal("a", CANARY)], "refreshInterval": 10**400}, "spec.refreshInterval: must be at least 10s"),
    (
        {"data": [literal("a", CANARY)], "roleSessionName": "r\u00e9ader"},
        "spec.roleSessionName: must have 2 to 64 of the characters",
    ),
    ({"data": [literal("a", CANARY)], "externalId": "x"}, "spec.externalId: length must be at least 2"),
    *(
        ({"data": [literal("a", CANARY)], **spec}, f"spec.{field}: {message}")
        for spec, field, message in (
            ({"data": [literal("a", CANARY)] * 1001}, "data", "must have at most 1000 items"),
            (
                {"dataFrom": {"secretRefs": [{"name": "s"}] * 1001}},
                "dataFrom.secretRefs",
                "must have at most 1000 items",
            ),
            (
                {"dataFrom": {"find": {"tags": {f"t{n}": "" for n in range(51)}}}},
                "dataFrom.find.tags",
                "must have at most 50 items",
            ),
            ({"data": [literal("a", "x" * (2**20 + 1))]}, "data[0].value", "length must be at most 1048576"),
            ({"region": "x" * 65}, "region", "length must be at most 64"),
            ({"type": "x" * 318}, "type", "length must be at most 317"),
            ({"IAMRole": "x" * 2049}, "IAMRole", "length must be at most 2048"),
            ({"refreshInterval": "1m" + "0s" * 32}, "refreshInterval", "must be a duration"),
            (
                {"secretMetadata": {"labels": {"team": "x" * 64}}},
                "secretMetadata.labels.team",
                "length must be at most 63",
            ),
            *(
                (
                    {"secretMetadata": {kind: {f"k{n}": "" for n in range(1001)}}},
                    f"secretMetadata.{kind}",
                    "must have at most 1000 items",
                )
                for kind in ("labels", "annotations")
            ),
        )
    ),
    ({"data": [literal("a", CANARY)], "suspend": "perhaps"}, "spec.suspend: must be true or false"),
]
