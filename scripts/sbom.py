"""What the product is made of, as CycloneDX 1.6: `cargo metadata` on stdin, Cargo.lock as the argument, the document on stdout.

The same inputs give the same bytes, so there is neither a time nor a serial number in it. Python's standard library only.
"""

import json
import re
import sys

PRODUCT = "chopmark"


def checksums(path):
    """SHA-256 of each package in Cargo.lock, by name and version; those of the workspace have none."""
    with open(path, encoding="utf-8") as lock:
        blocks = lock.read().split("[[package]]\n")[1:]
    packages = (dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.MULTILINE)) for block in blocks)
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksum):
    # The slash is the older spelling of OR.
    licence = re.sub(r"\s*/\s*", " OR ", package["license"])
    made = {
        "type": "application" if package["name"] == PRODUCT else "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "licenses": [{"expression": licence}],
        "purl": reference(package),
    }
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return made


def document(metadata, sums):
    packages = sorted(metadata["packages"], key=reference)
    names = {package["id"]: reference(package) for package in packages}
    components = [component(package, sums[package["name"], package["version"]]) for package in packages]
    product = next(made for made in components if made["name"] == PRODUCT)
    nodes = metadata["resolve"]["nodes"]
    depends = {names[node["id"]]: sorted(names[on] for on in node["dependencies"]) for node in nodes}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product},
        "components": [made for made in components if made is not product],
        "dependencies": [{"ref": ref, "dependsOn": on} for ref, on in sorted(depends.items())],
    }


json.dump(document(json.load(sys.stdin), checksums(sys.argv[1])), sys.stdout, indent=1)
print()
