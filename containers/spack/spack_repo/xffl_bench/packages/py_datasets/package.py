"""datasets 4. The recipe of spack-packages ends at version 3."""

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import depends_on, license, version


class PyDatasets(PythonPackage):
    """Data sets of the Hugging Face Hub and of files, in Arrow's format."""

    homepage = "https://github.com/huggingface/datasets"
    pypi = "datasets/datasets-4.0.0.tar.gz"
    license("Apache-2.0")
    version("4.0.0", sha256="9657e7140a9050db13443ba21cb5de185af8af944479b00e7ff1e00a61c8dbf1")

    depends_on("python@3.9:", type=("build", "run"))
    depends_on("py-setuptools", type="build")
    depends_on("py-dill@0.3.0:0.3.8", type="run")
    depends_on("py-filelock", type="run")
    depends_on("py-fsspec@2023.1:2025.3.0+http", type="run")
    depends_on("py-huggingface-hub@0.24:", type="run")
    depends_on("py-multiprocess@:0.70.16", type="run")
    depends_on("py-numpy@1.17:", type="run")
    depends_on("py-packaging", type="run")
    depends_on("py-pandas", type="run")
    depends_on("py-pyarrow@15:", type="run")
    depends_on("py-pyyaml@5.1:", type="run")
    depends_on("py-requests@2.32.2:", type="run")
    depends_on("py-tqdm@4.66.3:", type="run")
    depends_on("py-xxhash", type="run")
