"""Clients that other languages generate from the plain form, and from OpenAPI, hold the same bytes and types.

Each language installs its packages below `.tools/clients` once. A test is skipped where the toolchain or its registry is not there.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from foretell_contract.contract import Contract, load
from foretell_contract.downloads import downloads
from rest_bridge.openapi.document import openapi
from rest_bridge.pages import ServedContract, pages
from tests.conftest import PROTOS, ROOT
from tests.support.servers.fake_channel import FakeChannel

pytestmark = [pytest.mark.slow, pytest.mark.long]

CONTRACT_FILES = "iris/v1/iris.proto google/rpc/error_details.proto"


@dataclass(frozen=True)
class Language:
    """Two shell scripts and the files of a program, all in one folder. `$PROTOC` is protoc, `$SET` the descriptor set."""

    name: str
    tools: tuple[str, ...]
    install: str
    run: str
    files: dict[str, str]


GO = Language(
    "go",
    ("go",),
    "GOBIN=$PWD go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11; "
    "test -f go.sum || go get google.golang.org/protobuf@v1.36.11",
    "$PROTOC $SET --plugin=protoc-gen-go --go_out=. --go_opt=module=contract iris/v1/iris.proto; go run .",
    {
        "go.mod": "module contract\n\ngo 1.24\n",
        "main.go": """
package main

import (
	irisv1 "contract/iris/v1"
	"fmt"
	"google.golang.org/protobuf/proto"
)

func main() {
	data, _ := proto.Marshal(&irisv1.Features{SepalLength: proto.Float64(0.2)})
	fmt.Printf("%x\\n", data)
}
""",
    },
)
TYPESCRIPT = Language(
    "typescript",
    ("npm", "node"),
    "test -x node_modules/.bin/tsc || npm install --silent --no-audit --no-fund",
    "PATH=$PWD/node_modules/.bin:$PATH; "
    f"$PROTOC $SET --es_out=. --es_opt=target=ts,import_extension=js {CONTRACT_FILES}; "
    "tsc --strict --skipLibCheck --module nodenext --target es2022 main.ts; node main.js",
    {
        "package.json": '{"type": "module", "dependencies": {"@bufbuild/protoc-gen-es": "2.17.0", "@bufbuild/protobuf": "2.17.0", '
        '"typescript": "5.9.3"}}',
        "main.ts": """
import { create, toBinary } from "@bufbuild/protobuf";
import { BadRequestSchema } from "./google/rpc/error_details_pb.js";
import { FeaturesSchema } from "./iris/v1/iris_pb.js";

create(BadRequestSchema);
const data = toBinary(FeaturesSchema, create(FeaturesSchema, { sepalLength: 0.2 }));
console.log([...data].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
""",
    },
)
_COPY = (
    "mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory=jars -Dartifact=com.google.protobuf"
)
JAVA = Language(
    "java",
    ("mvn", "javac"),
    f"test -x jars/protoc-4.36.2-linux-x86_64.exe || {{ {_COPY}com.google.protobuf:protobuf-java:4.36.2; "
    f"{_COPY}com.google.protobuf:protoc:4.36.2:exe:linux-x86_64; chmod +x jars/*.exe; }}",
    f"rm -rf made; mkdir made; jars/*.exe $SET --java_out=made {CONTRACT_FILES}; "
    "javac -J-XX:TieredStopAtLevel=1 -proc:none -cp jars/protobuf-java-4.36.2.jar -sourcepath made -d made Main.java; "
    "java -cp made:jars/protobuf-java-4.36.2.jar Main",
    {
        "pom.xml": '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>test</groupId><artifactId>test</artifactId><version>1</version><packaging>pom</packaging></project>",
        "Main.java": """
public class Main {
  public static void main(String[] arguments) {
    com.google.rpc.BadRequest.getDefaultInstance();
    byte[] data = iris.v1.Features.newBuilder().setSepalLength(0.2).build().toByteArray();
    System.out.println(java.util.HexFormat.of().formatHex(data));
  }
}
""",
    },
)
RUST = Language(
    "rust",
    ("cargo",),
    "cargo fetch -q",
    "cargo run -q --offline",
    {
        "Cargo.toml": """
[package]
name = "contract"
version = "0.1.0"
edition = "2021"
[dependencies]
prost = "=0.14.1"
prost-types = "=0.14.1"
[build-dependencies]
prost = "=0.14.1"
prost-build = "=0.14.1"
prost-types = "=0.14.1"
[workspace]
""",
        "build.rs": """
use prost::Message;

fn main() {
    println!("cargo:rerun-if-changed=plain.binpb");
    let set = prost_types::FileDescriptorSet::decode(&std::fs::read("plain.binpb").unwrap()[..]).unwrap();
    prost_build::Config::new().include_file("contract.rs").compile_fds(set).unwrap();
}
""",
        "src/main.rs": """
include!(concat!(env!("OUT_DIR"), "/contract.rs"));
use prost::Message;

fn main() {
    let _ = google::rpc::BadRequest::default();
    let row = iris::v1::Features { sepal_length: Some(0.2), ..Default::default() };
    println!("{}", row.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}
""",
    },
)


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in bash; it ends at the first command that fails."""
    protoc = f"{sys.executable} -m grpc_tools.protoc"
    environment = os.environ | {"PROTOC": protoc, "SET": "--descriptor_set_in=plain.binpb", "GOFLAGS": "-mod=mod"}
    return subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def prepared(language: str, tools: tuple[str, ...], install: str, files: dict[str, str | bytes]) -> Path:
    """The folder of a language with its packages and these files; skips the test if it cannot be made."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: no client in {language}")
    folder = ROOT / ".tools/clients" / language
    for name, text in files.items():
        data, file = text.encode() if isinstance(text, str) else text, folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name != "go.mod" or not file.exists():
            file.write_bytes(data)
    done = shell(install, folder)
    if done.returncode:
        pytest.skip(f"packages for {language} cannot be installed: {done.stderr.strip()[-300:]}")
    return folder


@pytest.mark.timeout(600)  # The first run installs and compiles packages.
@pytest.mark.parametrize("language", [GO, TYPESCRIPT, JAVA, RUST], ids=lambda language: language.name)
def test_plain_form_makes_a_client(contract: Contract, language: Language) -> None:
    files = language.files | {"plain.binpb": downloads(contract).plain_set}
    done = shell(language.run, prepared(language.name, language.tools, language.install, files))
    assert done.returncode == 0, done.stderr[-4000:]
    features = contract.message("iris.v1.Features")(sepal_length=0.2)
    assert done.stdout.strip() == features.SerializeToString().hex()


@pytest.mark.timeout(600)
def test_openapi_makes_a_client_with_the_same_types() -> None:
    """Its numbers were `float32` (oapi-codegen#1912)."""
    app, contract = FastAPI(), load(PROTOS).restricted_to(["parcel"])
    app.include_router(pages(contract, FakeChannel(lambda _: b""), ServedContract(contract, FakeChannel(lambda _: b""))))
    install = "GOBIN=$PWD go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
    folder = prepared("openapi", ("go",), install, {"openapi.json": json.dumps(openapi(app, contract))})
    done = shell("./oapi-codegen -generate types -package client openapi.json | tr -s ' '", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    for line in (
        'DistanceKm float64 `json:"distance_km"`',
        'StopsBefore int64 `json:"stops_before"`',
        'Departure time.Time `json:"departure"`',
        'Vehicle ParcelV1FeaturesVehicle `json:"vehicle"`',
        "type ParcelV1FeaturesVehicle string",
        'LatestMinutes float64 `json:"latest_minutes"`',
    ):
        assert line in done.stdout
