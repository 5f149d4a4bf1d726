// Load generator for the side-by-side runs: one program, one transport (gRPC C++), two protocols with the same content.
//   loadgen --target HOST:PORT --protocol peers|kd --method Rank|RankRaw --n 500 --mode closed --concurrency 8 --seconds 2
//   loadgen ... --mode open --rate 1000       constant rate; latency counts from the intended send time
//   loadgen ... --mode check --scores FILE    one request; prints a checksum, writes the scores as float32
//   loadgen ... --mode dump --out FILE        writes one gRPC-framed request body (h2load -d)
// --catalog K: candidates are item numbers below K instead of 12 feature ids each; with --expand 1 the same candidates are sent
// with their features (to compare scores).  --ids FILE (kd): the raw ids that hash to each row, int64 [2 tables][100000].
// Requests are serialised once and replies are only checked for length, so the client's cost is the transport's, and the same for
// every server.  Measures as the peers' own generator does (common/util.h).
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <sys/prctl.h>

#include <atomic>
#include <optional>
#include <thread>

#include "common/util.h"
#include "kdserving/v1/ranking.pb.h"
#include "peer.pb.h"

using namespace peers;
using grpc::ByteBuffer;

namespace {

// Item k of the catalog has the features of request kCatalogSeed + k with one candidate.
constexpr uint64_t kCatalogSeed = 1ull << 40;

// What one request asks: the user's ids, and per candidate either 12 ids or one item number.
struct Content {
  std::vector<int64_t> user, items, numbers;
};

Content MakeContent(uint64_t seed, int n, int64_t catalog) {
  Content c;
  MakeIds(seed, n, c.user, c.items);
  if (catalog == 0) return c;
  uint64_t s = seed * 7919 + 3;
  std::vector<int64_t> unused, features;
  for (int i = 0; i < n; ++i) {
    c.numbers.push_back(int64_t(SplitMix(s) % uint64_t(catalog)));
    MakeIds(kCatalogSeed + uint64_t(c.numbers.back()), 1, unused, features);
    std::copy(features.begin(), features.end(), c.items.begin() + i * kItemFields);
  }
  return c;
}

class Encoder {
 public:
  explicit Encoder(const Args& a)
      : kd_(a.Str("protocol", "peers") == "kd"), raw_(a.Str("method", "Rank") == "RankRaw"), numbers_(a.Int("catalog", 0) > 0 && !a.Int("expand", 0)) {
    if (!kd_) return;
    ids_.resize(2 * kVocab);
    FILE* f = fopen(a.Str("ids", "ids.bin").c_str(), "rb");
    if (!f || fread(ids_.data(), 8, ids_.size(), f) != ids_.size()) fprintf(stderr, "--ids: cannot read the raw ids\n"), exit(2);
    fclose(f);
  }
  std::string Method() const { return kd_ ? "/kdserving.v1.Ranking/Rank" : raw_ ? "/peers.Ranker/RankRaw" : "/peers.Ranker/Rank"; }

  std::string Serialise(const Content& c) const {
    if (kd_) return Ours(c);
    const auto& items = numbers_ ? c.numbers : c.items;
    if (raw_) {
      peers::RankRawRequest r;
      r.set_user_ids(c.user.data(), c.user.size() * 8);
      r.set_item_ids(items.data(), items.size() * 8);
      return r.SerializeAsString();
    }
    peers::RankRequest r;
    r.mutable_user_ids()->Add(c.user.begin(), c.user.end());
    r.mutable_item_ids()->Add(items.begin(), items.end());
    return r.SerializeAsString();
  }

  // The reply's scores; empty when it is no reply.
  std::vector<float> Scores(const ByteBuffer& reply) const {
    ByteBuffer copy = reply;
    grpc::ProtoBufferReader reader(&copy);
    if (kd_) {
      kdserving::v1::RankReply r;
      if (!r.ParseFromZeroCopyStream(&reader) || r.targets_size() != 1) return {};
      return {r.targets(0).scores().begin(), r.targets(0).scores().end()};
    }
    RankResponse r;
    if (!r.ParseFromZeroCopyStream(&reader)) return {};
    return {r.scores().begin(), r.scores().end()};
  }

  // Four bytes a score; tags, and with ours the names and the version.
  size_t Overhead() const { return kd_ ? 128 : 16; }

 private:
  std::string Ours(const Content& c) const {
    const int n = int(c.items.size() / kItemFields);
    kdserving::v1::RankRequest r;
    r.set_candidate_count(n);
    for (int f = 0; f < kUserFields; ++f) Set(r.add_user(), "u" + std::to_string(f), {ids_[size_t(c.user[size_t(f)])]});
    if (numbers_) {
      auto* catalog = r.mutable_catalog();
      if (raw_) catalog->set_raw_int64(c.numbers.data(), c.numbers.size() * 8);
      else catalog->mutable_ints()->mutable_value()->Add(c.numbers.begin(), c.numbers.end());
      return r.SerializeAsString();
    }
    std::vector<int64_t> column(static_cast<size_t>(n));
    for (int f = 0; f < kItemFields; ++f) {
      for (int i = 0; i < n; ++i) column[size_t(i)] = ids_[size_t(kVocab + c.items[size_t(i * kItemFields + f)])];
      Set(r.add_item(), "i" + std::to_string(f), column);
    }
    return r.SerializeAsString();
  }
  void Set(kdserving::v1::Column* column, const std::string& name, const std::vector<int64_t>& values) const {
    column->set_name(name);
    if (raw_) column->set_raw_int64(values.data(), values.size() * 8);
    else column->mutable_ints()->mutable_value()->Add(values.begin(), values.end());
  }

  bool kd_, raw_, numbers_;
  std::vector<int64_t> ids_;
};

struct Op {
  std::optional<grpc::ClientContext> ctx;
  std::unique_ptr<grpc::ClientAsyncResponseReader<ByteBuffer>> rd;
  ByteBuffer resp;
  grpc::Status st;
  int64_t start = 0;
  size_t chan = 0;
};

class Client {
 public:
  explicit Client(const Args& a) : encoder_(a), n_(size_t(a.Int("n", 500))), method_(encoder_.Method()) {
    for (int i = 0; i < a.Int("pool", 64); ++i) {
      const std::string s = encoder_.Serialise(MakeContent(uint64_t(i), int(n_), a.Int("catalog", 0)));
      bytes_ = s.size();
      grpc::Slice slice(s);
      reqs_.emplace_back(&slice, 1);
    }
    for (int i = 0; i < a.Int("channels", 4); ++i) {
      grpc::ChannelArguments ca;
      ca.SetInt("grpc.use_local_subchannel_pool", 1);  // a TCP connection of its own
      ca.SetInt("loadgen.id", i);
      ca.SetInt("grpc.enable_retries", 0);
      ca.SetString("grpc.optimization_target", "latency");
      auto ch = grpc::CreateCustomChannel(a.Str("target", "127.0.0.1:50051"), grpc::InsecureChannelCredentials(), ca);
      if (!ch->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10))) fprintf(stderr, "cannot connect\n"), exit(2);
      stubs_.push_back(std::make_unique<grpc::GenericStub>(ch));
    }
  }
  void Start(Op* op, int64_t when) {
    op->start = when;
    op->ctx.emplace();
    op->resp.Clear();
    op->rd = stubs_[op->chan]->PrepareUnaryCall(&*op->ctx, method_, reqs_[seq_++ % reqs_.size()], &cq);
    op->rd->StartCall();
    op->rd->Finish(&op->resp, &op->st, op);
  }
  bool Good(const Op& op) const { return op.st.ok() && op.resp.Length() > n_ * 4 && op.resp.Length() < n_ * 4 + encoder_.Overhead(); }

  Encoder encoder_;
  size_t n_;
  std::string method_;
  size_t bytes_ = 0, seq_ = 0;
  std::vector<ByteBuffer> reqs_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  grpc::CompletionQueue cq;
};

struct Cpu {
  double wall, self, server, machine;
};
Cpu Snap(const std::vector<int64_t>& pids) {
  Cpu c{double(NowNs()) / 1e9, SelfCpuSeconds(), 0, MachineBusySeconds()};
  for (auto p : pids) c.server += PidCpuSeconds(p);
  return c;
}

int Check(Client& c, const Args& a) {
  Op op;
  void* tag;
  bool ok;
  c.Start(&op, NowNs());
  c.cq.Next(&tag, &ok);
  if (!op.st.ok()) return fprintf(stderr, "error %d %s\n", op.st.error_code(), op.st.error_message().c_str()), 1;
  const auto scores = c.encoder_.Scores(op.resp);
  if (scores.size() != c.n_) return fprintf(stderr, "%zu scores for %zu candidates\n", scores.size(), c.n_), 1;
  if (const auto out = a.Str("scores", ""); !out.empty()) {
    FILE* f = fopen(out.c_str(), "wb");
    if (!f || fwrite(scores.data(), 4, scores.size(), f) != scores.size()) return fprintf(stderr, "--scores: cannot write\n"), 1;
    fclose(f);
  }
  double sum = 0;
  for (float s : scores) sum += double(s);
  printf("{\"kind\":\"check\",\"n\":%zu,\"sum\":%.5f,\"s0\":%.6f,\"good\":%s}\n", c.n_, sum, double(scores[0]), c.Good(op) ? "true" : "false");
  return 0;
}

struct Measured {
  std::vector<int64_t> latency, lag;
  size_t errors = 0, dropped = 0, sent = 0;
  Cpu from{}, to{};
};

void Closed(Client& c, size_t concurrency, const std::vector<int64_t>& pids, int64_t from, int64_t to, Measured& m) {
  std::vector<Op> ops(concurrency);
  for (size_t i = 0; i < ops.size(); ++i) ops[i].chan = i % c.stubs_.size(), c.Start(&ops[i], NowNs());
  void* tag;
  bool ok, in = false;
  for (size_t live = ops.size(); live;) {
    c.cq.Next(&tag, &ok);
    const int64_t now = NowNs();
    Op* op = static_cast<Op*>(tag);
    if (!in && now >= from) m.from = Snap(pids), in = true;
    if (in && m.to.wall == 0 && now >= to) m.to = Snap(pids);
    if (op->start >= from && now < to) {
      ++m.sent;
      if (c.Good(*op)) m.latency.push_back(now - op->start);
      else ++m.errors;
    }
    if (now < to) c.Start(op, NowNs());
    else --live;
  }
}

void Open(Client& c, double rate, size_t cap, const std::vector<int64_t>& pids, int64_t begin, int64_t from, int64_t to, Measured& m) {
  std::atomic<size_t> inflight{0};
  std::thread rx([&] {
    void* tag;
    for (bool ok; c.cq.Next(&tag, &ok);) {
      const int64_t now = NowNs();
      std::unique_ptr<Op> op(static_cast<Op*>(tag));
      if (op->start >= from && op->start < to) {
        if (c.Good(*op)) m.latency.push_back(now - op->start);
        else ++m.errors;
      }
      inflight.fetch_sub(1, std::memory_order_release);
    }
  });
  bool in = false;
  for (size_t i = 0;; ++i) {
    const int64_t due = begin + int64_t(double(i) * 1e9 / rate);
    if (due >= to) break;
    if (!in && due >= from) m.from = Snap(pids), in = true;
    timespec ts{due / 1000000000, due % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr);
    if (in) ++m.sent, m.lag.push_back(std::max<int64_t>(0, NowNs() - due));
    if (inflight.load(std::memory_order_acquire) >= cap) {
      m.dropped += in;
      continue;
    }
    inflight.fetch_add(1);
    auto* op = new Op;
    op->chan = i % c.stubs_.size();
    c.Start(op, due);
  }
  m.to = Snap(pids);
  for (int i = 0; i < 500 && inflight.load(); ++i) usleep(10000);
  if (inflight.load()) {  // a hung server must not hang the run
    fprintf(stderr, "%zu calls never completed\n", inflight.load());
    _exit(3);
  }
  c.cq.Shutdown();
  rx.join();
}

}  // namespace

int main(int argc, char** argv) {
  Args a(argc, argv);
  const std::string mode = a.Str("mode", "closed");
  if (mode == "dump") {
    const std::string s = Encoder(a).Serialise(MakeContent(0, int(a.Int("n", 500)), a.Int("catalog", 0)));
    FILE* f = fopen(a.Str("out", "frame.bin").c_str(), "wb");
    if (!f) return fprintf(stderr, "--out: cannot write\n"), 2;
    const uint32_t length = __builtin_bswap32(uint32_t(s.size()));
    fputc(0, f), fwrite(&length, 4, 1, f), fwrite(s.data(), 1, s.size(), f), fclose(f);
    return 0;
  }
  prctl(PR_SET_TIMERSLACK, 1);
  Client c(a);
  if (mode == "check") return Check(c, a);

  const auto pids = a.List("server-pids", "");
  const double seconds = a.Num("seconds", 5), rate = a.Num("rate", 100);
  const int64_t begin = NowNs() + 20000000, from = begin + int64_t(a.Num("warmup", 1) * 1e9), to = from + int64_t(seconds * 1e9);
  Measured m;
  m.latency.reserve(1 << 20);
  const bool closed = mode == "closed";
  if (closed) Closed(c, size_t(a.Int("concurrency", 1)), pids, from, to, m);
  else Open(c, rate, size_t(a.Int("max-inflight", 2000)), pids, begin, from, to, m);

  const double wall = m.to.wall - m.from.wall, self = (m.to.self - m.from.self) / wall, server = (m.to.server - m.from.server) / wall;
  const Stats s = Summarise(m.latency), lag = Summarise(m.lag);
  const double rps = double(s.count) / (closed ? wall : seconds);
  printf("{\"kind\":\"load\",\"rps\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"ok\":%zu,\"errors\":%zu,\"dropped\":%zu,"
         "\"lag_p50\":%.1f,\"lag_p99\":%.1f,\"other_cpu\":%.3f,\"server_us_req\":%.1f,\"client_us_req\":%.1f,\"req_bytes\":%zu}\n",
         rps, s.p50, s.p90, s.p99, s.p999, s.max, s.count, m.errors, m.dropped, lag.p50, lag.p99,
         std::max(0.0, (m.to.machine - m.from.machine) / wall - self - server), server / rps * 1e6, self / rps * 1e6, c.bytes_);
}
