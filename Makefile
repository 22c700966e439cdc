# flopcast: build, test, demo.
#
#   make            build/flopcast, and build/flopcast-cpu, which calibrate starts
#   make demo       install what is missing, build, audit the GPT-4 leak, leave out/gpt4-leak/
#   make test       install what is missing, build, run all tests (SANITIZE=address,undefined or thread works too)
#   make test-full  test, plus longer fuzzing, sanitizers, and LibreOffice on the workbook
#   make bench      print speed ratios against named references
#   make golden     renew the golden files after reading the difference
#   make cuda       build/flopcast-cuda, the calibration of a GPU, where nvcc is (NCCL=0: without collectives)
#   make install    PREFIX=/usr/local: binaries (flopcast-cuda where it was built), configs, man page, completion
#   make setup      install missing Debian packages, say which; does nothing when all are there
#   make clean
#
# Variables: CC, WERROR= (off), SANITIZE=..., V=1 (show commands), PREFIX, DESTDIR.

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
SANITIZE ?=
WERROR ?= -Werror
PREFIX ?= /usr/local
PKG_CONFIG ?= pkg-config
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

comma := ,
variant := $(if $(SANITIZE),san-$(subst $(comma),-,$(SANITIZE)),release)
variant := $(variant)$(if $(findstring clang,$(CC)),-clang,)
B := build/$(variant)

packages := gsl yaml-0.1 jansson sqlite3 xlsxwriter libmd
goals_without_libraries := clean setup help
ifneq ($(filter-out $(goals_without_libraries) demo test test-full,$(or $(MAKECMDGOALS),all)),)
LIB_CFLAGS := $(subst -I,-isystem ,$(shell $(PKG_CONFIG) --cflags $(packages) 2>/dev/null))
LIBS := $(shell $(PKG_CONFIG) --libs $(packages) 2>/dev/null || echo -lgsl -lgslcblas -lm -lyaml -ljansson -lsqlite3 -lxlsxwriter -lmd)
TEST_LIBS := -lcmocka
endif

WARNINGS := -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wundef -Wformat=2 -Wpointer-arith -Wwrite-strings -Wswitch-enum -Wimplicit-fallthrough \
            -Wdouble-promotion $(WERROR)
BASE_CFLAGS := -std=c17 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -I. -ffp-contract=off -g -ffile-prefix-map=$(CURDIR)/=
ifeq ($(SANITIZE),)
OPT := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
else
# -Wno-pass-failed: clang does not vectorise what it instruments
OPT := -O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -Wno-pass-failed
endif
ALL_CFLAGS := $(BASE_CFLAGS) $(OPT) $(WARNINGS) $(LIB_CFLAGS) $(CFLAGS)
ALL_LDFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -pthread $(LDFLAGS)

modules := configs/reader models hw hw/calibration sim/engine sim/network sim/training sim/serving sim/planning reports sim/cli
lib_sources := $(sort $(foreach m,$(modules),$(wildcard $(m)/*.c)))
lib_objects := $(lib_sources:%.c=$(B)/%.o) $(B)/version.o
unit_tests := $(sort $(wildcard tests/unit/test_*.c tests/property/test_*.c))
unit_programs := $(unit_tests:%.c=$(B)/%)
bench_programs := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/bench/*.c)))
fuzz_targets := $(sort $(wildcard tests/fuzz/fuzz_*.c))
replay_programs := $(fuzz_targets:%.c=$(B)/%)

.PHONY: all demo test check test-full bench golden install setup clean help FORCE print-flags replay fuzz fuzz-programs format format-check
.DELETE_ON_ERROR:

all: build/flopcast $(if $(findstring thread,$(SANITIZE)),,build/flopcast-cpu)

build/flopcast build/flopcast-cpu: build/%: $(B)/%
	$(Q)mkdir -p build && cp -f $< $@.tmp && mv -f $@.tmp $@

$(B)/flopcast: $(B)/sim/main.o $(B)/libflopcast.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(B)/libflopcast.a: $(lib_objects)
	$(Q)rm -f $@ && ar rcsD $@ $^

# The command line of the compiler: rewritten only when it differs, so a change of flags rebuilds, nothing else does.
$(B)/flags: FORCE
	$(Q)mkdir -p $(@D) && echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' > $@

$(B)/%.o: %.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo "  CC $<")
	$(Q)$(CC) $(ALL_CFLAGS) $(OWN_CFLAGS) -MMD -MP -c -o $@ $<

# What a search for plans spends its time in, and loops over independent, finite, positive numbers, where maxima and
# sums of several at once give the same.
ifeq ($(SANITIZE),)
searched := block_set block_time block_recompute dualpipe fold line paced pipeline sharding stage_time steady step_end
$(searched:%=$(B)/sim/training/%.o) $(B)/hw/gemm.o: OWN_CFLAGS := -O3
$(B)/sim/training/wave.o $(B)/sim/training/wave_ahead.o: OWN_CFLAGS := -O3 -ffinite-math-only -fno-signed-zeros
endif

# The version is the only thing that comes from outside the sources.
$(B)/version.c: FORCE
	$(Q)mkdir -p $(@D) && printf '#include "reports/provenance.h"\nconst char PROGRAM_VERSION[] = "%s";\n' \
	  "$$(git describe --always --dirty --tags 2>/dev/null || echo unknown)" > $@.tmp && \
	  { cmp -s $@.tmp $@ && rm -f $@.tmp || mv -f $@.tmp $@; }
$(B)/version.o: $(B)/version.c $(B)/flags
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(filter-out %/test_moe_cpu,$(unit_programs)): $(B)/tests/%: $(B)/tests/%.o $(B)/libflopcast.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)
$(filter-out %/moe,$(bench_programs)): $(B)/tests/%: $(B)/tests/%.o $(B)/libflopcast.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
# Fuzz targets: the same source links with a replaying main everywhere, and with libFuzzer in `make fuzz`.
$(replay_programs): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay_main.o $(B)/libflopcast.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# The CPU backend of the calibration layer: a helper program of its own, so that neither OpenBLAS
# nor OpenMP is part of the planner (GSL's own CBLAS stays in it, and its results the same on every
# machine). The thread sanitizer does not know OpenMP's barriers.
ifeq ($(findstring thread,$(SANITIZE)),)
OPENBLAS_CFLAGS := $(subst -I,-isystem ,$(shell $(PKG_CONFIG) --cflags openblas 2>/dev/null))
OPENBLAS_LIBS := $(shell $(PKG_CONFIG) --libs openblas 2>/dev/null || echo -lopenblas)
cpu_objects := $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(wildcard hw/calibration/cpu/*.c)))
CPU_CC := gcc
cpu_flags := $(OPENBLAS_CFLAGS) -fopenmp -O3
$(cpu_objects) $(B)/hw/calibration/cpu/main.o $(B)/tests/unit/test_moe_cpu.o $(B)/tests/bench/moe.o: $(B)/%.o: %.c $(B)/flags
	$(Q)mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo "  CC $<")
	$(Q)$(CPU_CC) $(ALL_CFLAGS) $(cpu_flags) -MMD -MP -c -o $@ $<
cpu_helper := $(B)/flopcast-cpu
$(cpu_helper): $(B)/hw/calibration/cpu/main.o $(cpu_objects) $(B)/libflopcast.a
	$(Q)$(CPU_CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fopenmp -o $@ $^ $(OPENBLAS_LIBS) $(LIBS)
$(B)/tests/unit/test_moe_cpu: $(B)/tests/unit/test_moe_cpu.o $(cpu_objects) $(B)/libflopcast.a
	$(Q)$(CPU_CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fopenmp -o $@ $^ $(OPENBLAS_LIBS) $(LIBS) $(TEST_LIBS)
$(B)/tests/bench/moe: $(B)/tests/bench/moe.o $(cpu_objects) $(B)/libflopcast.a
	$(Q)$(CPU_CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fopenmp -o $@ $^ $(OPENBLAS_LIBS) $(LIBS)
else
unit_programs := $(filter-out %/test_moe_cpu,$(unit_programs))
endif

# The CUDA backend: a helper program too, where nvcc is. The compiler's own report must show that no
# kernel spills registers.
NVCC ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
NCCL ?= $(if $(wildcard $(dir $(NVCC))../include/nccl.h),1,0)
cuda_sources := $(sort $(wildcard hw/calibration/cuda/*.cu))
cuda_headers := $(wildcard hw/calibration/cuda/*.cuh hw/calibration/cuda/*.h hw/calibration/*.h configs/reader/error.h)
cuda_objects := $(cuda_sources:%.cu=$(B)/%.o)
cuda_c_objects := $(addprefix $(B)/,hw/calibration/moe_layer.o hw/calibration/moe_reference.o hw/calibration/records_write.o configs/reader/error.o version.o)
NVCC_FLAGS := -std=c++17 -O3 -I. -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
              -gencode arch=compute_90,code=compute_90 -Xcompiler -Wall,-Wextra -Xptxas -v $(if $(filter 1,$(NCCL)),-DMOE_WITH_NCCL)
.PHONY: cuda
ifeq ($(NVCC),)
cuda:
	@echo "skipped: build/flopcast-cuda needs nvcc, which is not here"
else ifneq ($(SANITIZE),)
cuda:
	@echo "skipped: build/flopcast-cuda is built without sanitizers; its sources run under them in tests/emulation"
else
cuda: build/flopcast-cuda
cuda_helper := build/flopcast-cuda
$(cuda_objects): $(B)/%.o: %.cu $(cuda_headers) Makefile
	$(Q)mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo "  NVCC $<")
	$(Q)$(NVCC) $(NVCC_FLAGS) -c -o $@ $< >$@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)grep -E 'warning' $@.log; if grep 'bytes spill' $@.log | grep -qv ' 0 bytes spill stores, 0 bytes spill loads'; then \
	  echo "$<: a kernel spills registers, see $@.log"; rm -f $@; exit 1; fi
build/flopcast-cuda: $(cuda_objects) $(cuda_c_objects)
	$(Q)$(NVCC) -o $@.tmp $^ -lcublas $(if $(filter 1,$(NCCL)),-lnccl) && mv -f $@.tmp $@
endif

# The same CUDA sources on a CPU, under an emulation of CUDA, against the reference; and, tiny, under
# the thread sanitizer, of which the emulation itself must not be part.
emulation_tests :=
ifneq ($(shell command -v g++ 2>/dev/null),)
emulation_sources := emulator warp runtime blas
emulated := $(filter-out main collectives,$(basename $(notdir $(cuda_sources)))) collectives
emulation_headers := $(wildcard tests/emulation/*.h) $(cuda_headers)
EMULATION_CXX := g++ -std=c++17 -g -Wall -Wextra -Wno-unknown-pragmas $(WERROR) -I. -DMOE_PORT_HEADER='"tests/emulation/device.h"'
# without clang's sanitizers, which do not go with g++'s
ifeq ($(findstring thread,$(SANITIZE))$(if $(SANITIZE),$(findstring clang,$(CC))),)
emulation_tests += test_moe_cuda test_cuda_sweep
plain_objects := $(emulated:%=$(B)/emulated/%.o) $(emulation_sources:%=$(B)/emulated/%.o)
$(emulated:%=$(B)/emulated/%.o): $(B)/emulated/%.o: hw/calibration/cuda/%.cu $(emulation_headers) $(B)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(EMULATION_CXX) $(OPT) -x c++ -c -o $@ $<
$(emulation_sources:%=$(B)/emulated/%.o): $(B)/emulated/%.o: tests/emulation/%.cc $(emulation_headers) $(B)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(EMULATION_CXX) $(OPT) -c -o $@ $<
$(B)/tests/emulation/test_moe_cuda $(B)/tests/emulation/test_cuda_sweep: $(B)/tests/emulation/%: $(B)/tests/emulation/%.o $(plain_objects) $(B)/libflopcast.a
	$(Q)g++ $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)
endif
ifeq ($(findstring address,$(SANITIZE))$(if $(SANITIZE),$(findstring clang,$(CC))),)
emulation_tests += test_moe_cuda_races
raced := expert_gemm moe_cuda stages
race_objects := $(raced:%=$(B)/raced/%.o) $(emulation_sources:%=$(B)/raced/%.o)
$(raced:%=$(B)/raced/%.o): $(B)/raced/%.o: hw/calibration/cuda/%.cu $(emulation_headers) $(B)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(EMULATION_CXX) -O1 -fsanitize=thread -x c++ -c -o $@ $<
$(emulation_sources:%=$(B)/raced/%.o): $(B)/raced/%.o: tests/emulation/%.cc $(emulation_headers) $(B)/flags
	$(Q)mkdir -p $(@D)
	$(Q)$(EMULATION_CXX) -O1 -DEMULATOR_TSAN -c -o $@ $<
$(B)/tests/emulation/test_moe_cuda_races: $(B)/tests/emulation/test_moe_cuda_races.o $(race_objects) $(B)/libflopcast.a
	$(Q)g++ -fsanitize=thread $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)
endif
unit_programs += $(emulation_tests:%=$(B)/tests/emulation/%)
else
.PHONY: emulation-skipped
emulation-skipped:
	@echo "skipped: tests of the CUDA sources need g++"
endif

print-flags:
	@echo '$(ALL_CFLAGS)'

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '2,17p'

# ---------------------------------------------------------------------------------------------- set-up
# Debian packages only; apt is not asked at all when everything is there.
build_packages := gcc libc6-dev pkg-config git libgsl-dev libyaml-dev libjansson-dev libsqlite3-dev libxlsxwriter-dev \
                  libmd-dev zlib1g-dev libopenblas-dev gnuplot-nox fonts-dejavu-core
test_packages := g++ libcmocka-dev gnumeric jq sqlite3 libxml2-utils
full_packages := clang libclang-rt-dev clang-format libreoffice-calc-nogui
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
missing = $(shell for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
define install_missing
$(Q)missing='$(call missing,$(1))'; if [ -n "$$missing" ]; then \
  echo "installing Debian packages: $$missing"; \
  $(SUDO) apt-get -o DPkg::Lock::Timeout=600 -qq update && \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install $$missing >/dev/null; \
fi
endef

setup:
	$(call install_missing,$(build_packages))
setup-test:
	$(call install_missing,$(build_packages) $(test_packages))
setup-full:
	$(call install_missing,$(build_packages) $(test_packages) $(full_packages))
.PHONY: setup setup-test setup-full

# As many compilers as cores, unless the caller says how many.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 1))

# ------------------------------------------------------------------------------------------------ demo
demo: setup
	$(Q)$(MAKE) --no-print-directory $(parallel) all
	$(Q)./build/flopcast audit configs/claims/gpt4-leak.yaml --out out/gpt4-leak

# ----------------------------------------------------------------------------------------------- tests
# Set-up first, then a second make that sees the libraries just installed.
test: setup-test
	$(Q)$(MAKE) --no-print-directory $(parallel) check SANITIZE=$(SANITIZE)

check: $(B)/flopcast $(cpu_helper) $(unit_programs) $(replay_programs) cuda $(if $(emulation_tests),,emulation-skipped)
	$(Q)sh tests/run.sh $(B) $(unit_programs) -- $(replay_programs)

test-full: setup-full
	$(Q)$(MAKE) --no-print-directory $(parallel) check
	$(Q)$(MAKE) --no-print-directory $(parallel) check SANITIZE=address,undefined
	$(Q)$(MAKE) --no-print-directory $(parallel) check SANITIZE=thread
	$(Q)$(MAKE) --no-print-directory $(parallel) all check CC=clang
	$(Q)$(MAKE) --no-print-directory format-check
	$(Q)$(MAKE) --no-print-directory fuzz SECONDS=120
	$(Q)sh tests/cli/full/libreoffice.sh build/flopcast

golden: all
	$(Q)sh tests/golden/run.sh build/flopcast --update

# libFuzzer on every target, from its corpus; what it finds is written under build/fuzz.
SECONDS ?= 20
fuzz:
	$(Q)$(MAKE) --no-print-directory $(parallel) CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzz-programs
	$(Q)for target in $(fuzz_targets:tests/fuzz/fuzz_%.c=%); do mkdir -p build/fuzz/$$target; \
	  echo "fuzzing $$target for $(SECONDS) s"; \
	  build/san-fuzzer-no-link-address-undefined-clang/tests/fuzz/fuzz_$$target.libfuzzer -max_total_time=$(SECONDS) \
	    -max_len=65536 -artifact_prefix=build/fuzz/$$target/ build/fuzz/$$target tests/fuzz/corpus/$$target \
	    > build/fuzz/$$target.log 2>&1 || { tail -40 build/fuzz/$$target.log; exit 1; }; \
	  tail -1 build/fuzz/$$target.log; done
fuzz-programs: $(replay_programs:=.libfuzzer)
$(replay_programs:=.libfuzzer): %.libfuzzer: %.o $(B)/libflopcast.a
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer,address,undefined -pthread $(LDFLAGS) -o $@ $^ $(LIBS)

bench: all $(bench_programs)
	$(Q)for program in $(bench_programs); do echo "== $$program"; $$program || exit 1; done
	$(Q)sh tests/bench/audit.sh build/flopcast
	$(Q)sh tests/bench/accuracy.sh build/flopcast

all_sources := $(shell git ls-files '*.c' '*.h' '*.cc' '*.cu' '*.cuh' 2>/dev/null)
format:
	clang-format -i $(all_sources)
format-check:
	clang-format --dry-run -Werror $(all_sources)

# --------------------------------------------------------------------------------------------- install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/flopcast $(DESTDIR)$(PREFIX)/share/man/man1 \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 build/flopcast build/flopcast-cpu $(wildcard build/flopcast-cuda) $(DESTDIR)$(PREFIX)/bin/
	cd configs && find models hw scenarios claims measurements calibration -type f -exec \
	  install -D -m 644 {} $(DESTDIR)$(PREFIX)/share/flopcast/configs/{} \;
	./build/flopcast help man > $(DESTDIR)$(PREFIX)/share/man/man1/flopcast.1
	./build/flopcast help bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/flopcast

clean:
	rm -rf build

-include $(lib_objects:.o=.d) $(unit_programs:=.d) $(bench_programs:=.d) $(replay_programs:=.d) $(B)/sim/main.d $(cpu_objects:.o=.d) $(B)/hw/calibration/cpu/main.d
