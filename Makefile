# Our own code.  The four libraries and the packages are build.sh's business:
# `./build.sh build` first, then plain `make` works.
#
#   release      build/k8shell, static-PIE, stripped, and its names
#   conformance  build/k8shell-conformance, for HTTP/2 test suites
#   unit         build and run tests/unit (glibc, ASan, UBSan)
#   san, dbg     the whole program with ASan and UBSan; and for valgrind
#   fuzz, lint   build/fuzz/fuzz_* (clang libFuzzer); tests/lint.sh

HOST    := $(shell uname -m)
ARCH    ?= $(HOST)
CROSS   := $(if $(filter-out $(HOST),$(ARCH)),$(ARCH)-linux-gnu-)
CC      := gcc
CLANG   ?= clang-14
SYS     := build/deps/$(ARCH)
OUT     := build$(if $(CROSS),/$(ARCH))
NAMES   := k8shelld kssh kbox

.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: release conformance unit san dbg fuzz lint
$(if $(V),,$(eval .SILENT:))		# make V=1 shows the commands

# Written only when it differs, so that a new commit costs one object.
COMMIT  := $(shell test -e .git && git rev-parse HEAD 2>/dev/null | cut -c1-7)
VERSION := $(shell cat VERSION) $(or $(COMMIT),0000000)
VTEXT    = \#define K8SHELL_VERSION "$(word 1,$(VERSION))"\n$\
	\#define K8SHELL_COMMIT "$(word 2,$(VERSION))"\n
$(shell mkdir -p build/gen; printf '$(VTEXT)' >build/gen/version.$$PPID; \
	cmp -s build/gen/version.$$PPID build/gen/version.h && \
	rm build/gen/version.$$PPID || \
	mv build/gen/version.$$PPID build/gen/version.h)

PROTO   := $(wildcard proto/*.proto)
GEN     := $(PROTO:proto/%.proto=build/gen/%.pb-c)
LIB     := $(sort $(wildcard lib/*/*.c))
APPLET  := $(sort $(wildcard applets/*.c))
ROUTE   := lib/rpc/route_none
OBJS    := $(LIB:.c=.o) $(GEN:=.o)

WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Werror
BASE    := -std=c11 -D_GNU_SOURCE -Ilib -Ibuild -I. -MMD -MP -pipe \
	-ffile-prefix-map=$(CURDIR)=.
GCCINC  := $(shell $(CROSS)$(CC) -print-file-name=include)
# What runs per byte or frame is compiled for speed, the rest for size.
OPT      = $(if $(filter lib/base/% lib/loop/% lib/net/% lib/rpc/% %/vt.c $\
	%/task.c %/session.c %/scrollback.c,$<),-O2,-Os)
REL      = $(BASE) $(OPT) -g -fPIE -nostdinc -isystem $(SYS)/include \
	-isystem $(GCCINC) -ffunction-sections -fdata-sections \
	-fstack-protector-strong -ftrivial-auto-var-init=zero \
	-fno-asynchronous-unwind-tables -fno-unwind-tables \
	$(if $(filter aarch64,$(ARCH)),-mno-outline-atomics)
SAN     := -fsanitize=address,undefined -fno-sanitize-recover=all
DBG     := $(BASE) -O1 -g -fno-omit-frame-pointer
GLIBC   := -lprotobuf-c -lbearssl -lyaml
WRAP    := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc$\
	,--wrap=reallocarray,--wrap=strdup,--wrap=strndup

# -- release ----------------------------------------------------------------

RELDIR  := build/obj/$(ARCH)
RELOBJ  := $(addprefix $(RELDIR)/,$(APPLET:.c=.o) $(OBJS))
CONFOBJ := $(filter-out $(RELDIR)/$(ROUTE).o,$(RELOBJ)) \
	$(RELDIR)/tests/conformance/route.o
LINK     = $(CROSS)$(CC) -static-pie -nostdlib -nostartfiles \
	-Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none \
	-Wl,--no-dynamic-linker,-O1 $(SYS)/lib/rcrt1.o $(SYS)/lib/crti.o \
	$(filter %.o,$^) -L$(SYS)/lib -Wl,--start-group -lbearssl \
	-lprotobuf-c -lyaml -lc -lgcc -lgcc_eh -Wl,--end-group \
	$(SYS)/lib/crtn.o -o $@

release: $(OUT)/k8shell
conformance: $(OUT)/k8shell-conformance
# Unstripped, for profilers and debuggers.
$(RELDIR)/k8shell: $(RELOBJ) $(SYS)/.key
	$(LINK)
$(RELDIR)/k8shell-conformance: $(CONFOBJ) $(SYS)/.key
	$(LINK)

$(OUT)/k8shell $(OUT)/k8shell-conformance: $(OUT)/%: $(RELDIR)/%
	mkdir -p $(@D)
	$(CROSS)strip -s -R .comment -o $@.new $< && mv $@.new $@
	[ $* != k8shell ] || for n in $(NAMES); do ln -f $@ $(@D)/$$n; done
	echo "$@: $$(stat -c %s $@) bytes"

$(RELDIR)/build/gen/%.o: build/gen/%.c | $(SYS)/.key
	mkdir -p $(@D); echo "  cc $<"
	$(CROSS)$(CC) $(REL) -w -c -o $@ $<
$(RELDIR)/%.o: %.c Makefile $(SYS)/.key | $(GEN:=.h)
	mkdir -p $(@D); echo "  cc $<"
	$(CROSS)$(CC) $(REL) $(WARN) -c -o $@ $<
$(SYS)/.key:
	echo "make: $(SYS) is missing: run ./build.sh build first" >&2; false

build/gen/%.pb-c.c build/gen/%.pb-c.h: proto/%.proto
	protoc-c -Iproto --c_out=build/gen $<

# -- glibc builds: sanitizers, unit tests, fuzzing -----------------------------

build/obj/asan/build/gen/%.o: build/gen/%.c
	mkdir -p $(@D); echo "  cc (asan) $<"
	$(CC) $(DBG) $(SAN) -w -c -o $@ $<
build/obj/asan/%.o: %.c Makefile | $(GEN:=.h)
	mkdir -p $(@D); echo "  cc (asan) $<"
	$(CC) $(DBG) $(SAN) $(WARN) -c -o $@ $<
build/obj/fuzz/build/gen/%.o: build/gen/%.c
	mkdir -p $(@D); echo "  clang (fuzz) $<"
	$(CLANG) $(DBG) $(SAN) -fsanitize=fuzzer-no-link -w -c -o $@ $<
build/obj/fuzz/%.o: %.c Makefile | $(GEN:=.h)
	mkdir -p $(@D); echo "  clang (fuzz) $<"
	$(CLANG) $(DBG) $(SAN) -fsanitize=fuzzer-no-link $(WARN) -c -o $@ $<

build/obj/asan/lib.a: $(OBJS:%=build/obj/asan/%) \
    $(patsubst %.c,build/obj/asan/%.o,$(filter-out applets/main.c,$(APPLET)))
	rm -f $@
	ar rcs $@ $^
build/obj/fuzz/lib.a: $(OBJS:%=build/obj/fuzz/%)
	rm -f $@
	ar rcs $@ $^

san dbg: %: build/%/k8shell
build/san/k8shell: $(APPLET:%.c=build/obj/asan/%.o) build/obj/asan/lib.a
	mkdir -p $(@D); echo "  ld $@"
	$(CC) $(SAN) -o $@ $^ $(GLIBC)
	for n in $(NAMES); do ln -f $@ $(@D)/$$n; done

build/dbg/k8shell: build/san/k8shell
	mkdir -p $(@D); echo "  cc $@"
	$(CC) $(filter-out -M%,$(DBG)) -w -o $@ $(APPLET) $(OBJS:.o=.c) $(GLIBC)

UNIT    := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/test_*.c))
unit: $(UNIT)
	sh tests/unit/run.sh $(UNIT)
build/unit/%: build/obj/asan/tests/unit/%.o \
    build/obj/asan/tests/unit/failmalloc.o build/obj/asan/lib.a
	mkdir -p $(@D); echo "  ld $@"
	$(CC) $(SAN) $(WRAP) -o $@ $^ -lcmocka $(GLIBC)

# The applets only for clang's warnings.
fuzz: $(APPLET:%.c=build/obj/fuzz/%.o) $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
build/fuzz/%: build/obj/fuzz/tests/fuzz/%.o build/obj/fuzz/lib.a
	mkdir -p $(@D); echo "  ld $@"
	$(CLANG) $(SAN) -fsanitize=fuzzer -o $@ $^ $(GLIBC)

lint:
	sh tests/lint.sh
-include $(shell find build/obj -name '*.d' 2>/dev/null)
