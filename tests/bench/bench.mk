# The benchmark's helpers; build.sh's `build` first.  load is linked like the
# release from the same objects; the peers are ordinary -O2 programs.
include Makefile
.DEFAULT_GOAL := bench
.PHONY: bench

BENCH   := build/bench
PEERFL  := -O2 -g -Wall -Wextra

bench: $(addprefix $(BENCH)/,load true pty_reader echo spawnrate coldstart \
	awake grpc_peer rest_peer fell orphans)

LOADOBJ := $(filter-out $(RELDIR)/applets/%,$(RELOBJ))
$(BENCH)/load: $(RELDIR)/tests/bench/load.o $(LOADOBJ) $(SYS)/.key
	mkdir -p $(@D)
	$(LINK)
FELLOBJ := $(patsubst tests/%.c,$(RELDIR)/tests/%.o,\
	$(wildcard tests/bench/fell*.c))
$(BENCH)/fell: $(FELLOBJ) $(LOADOBJ) $(SYS)/.key
	mkdir -p $(@D)
	$(LINK)
$(BENCH)/sentinel: $(RELDIR)/tests/bench/sentinel.o $(LOADOBJ) $(SYS)/.key
	mkdir -p $(@D)
	$(LINK)
$(BENCH)/true: $(RELDIR)/tests/bench/true.o $(SYS)/.key
	mkdir -p $(@D)
	$(LINK)

$(BENCH)/rest_peer: PEERLIB := -lmicrohttpd
$(BENCH)/%: tests/bench/%.c
	mkdir -p $(@D); echo "  cc $<"
	$(CC) -std=c11 -D_GNU_SOURCE $(PEERFL) -o $@ $< -lutil $(PEERLIB)

$(BENCH)/%.grpc.pb.cc $(BENCH)/%.pb.cc: proto/%.proto
	mkdir -p $(@D)
	protoc -Iproto --cpp_out=$(BENCH) --grpc_out=$(BENCH) \
	    --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) $<
$(BENCH)/grpc_peer: tests/bench/grpc_peer.cc $(BENCH)/system.pb.cc \
    $(BENCH)/system.grpc.pb.cc
	echo "  c++ $<"
	g++ -std=c++17 $(PEERFL) -I$(BENCH) -o $@ $^ \
	    $$(pkg-config --cflags --libs grpc++ protobuf)
