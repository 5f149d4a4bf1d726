// cpp-catalog: what a C++ team would ship once item vectors are computed ahead of the request.
//   catalog_server --port 50051 --engine ort|hand --items 100000 --cqs 2
// peer.proto, but item_ids are N item numbers instead of N x 12 feature ids.  At start every item's first-layer product W_i i
// (128 floats) is computed; a request computes the user's part once, gathers N vectors, and runs what is left of the model:
//   ort    catalog_head.onnx in ONNX Runtime, one thread (as cpp-dense)
//   hand   an AVX-512 kernel (as cpp-hand): relu(user + vector) x W2, relu, W3, sigmoid, 48 rows at a time
// The server is the peers' asynchronous one: a completion queue a core, computing on the polling thread, calls recycled.
#include <grpcpp/grpcpp.h>
#include <onnxruntime_cxx_api.h>

#include <csignal>
#include <optional>
#include <thread>

#include "common/hand_mlp.h"
#include "peer.grpc.pb.h"

using namespace peers;
using grpc::Status;

namespace {

constexpr uint64_t kCatalogSeed = 1ull << 40;  // as in loadgen.cc
constexpr int H1 = HandMlp::H1, H2 = HandMlp::H2;

class Catalog {
 public:
  explicit Catalog(const Args& a)
      : mlp_(a.Str("weights", "models/cold_weights.bin")), items_(a.Int("items", 100000)), hand_(a.Str("engine", "ort") == "hand"),
        vectors_(size_t(items_) * H1), w2_(size_t(H1) * H2) {
    std::vector<int64_t> unused, features;
    for (int64_t k = 0; k < items_; ++k) {
      MakeIds(kCatalogSeed + uint64_t(k), 1, unused, features);
      ItemVector(features.data(), vectors_.p + k * H1);
    }
    for (int p = 0; p < H2 / 32; ++p)  // panels of 32 columns: [panel][k][32]
      for (int k = 0; k < H1; ++k) memcpy(w2_.p + (p * H1 + k) * 32, mlp_.w2.p + k * H2 + p * 32, 32 * sizeof(float));
    if (hand_) return;
    Ort::SessionOptions so;
    so.SetIntraOpNumThreads(1);
    so.SetInterOpNumThreads(1);
    so.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    so.AddConfigEntry("session.intra_op.allow_spinning", "0");
    so.AddConfigEntry("session.set_denormal_as_zero", "1");
    session_ = std::make_unique<Ort::Session>(env_, a.Str("model", "models/catalog_head.onnx").c_str(), so);
  }

  Status Score(const int64_t* user, size_t nu, const int64_t* numbers, size_t n, RankResponse* out) const {
    if (nu != kUserFields || n == 0) return {grpc::StatusCode::INVALID_ARGUMENT, "shape"};
    for (size_t f = 0; f < nu; ++f)
      if (uint64_t(user[f]) >= uint64_t(kVocab)) return {grpc::StatusCode::INVALID_ARGUMENT, "user id"};
    for (size_t i = 0; i < n; ++i)
      if (uint64_t(numbers[i]) >= uint64_t(items_)) return {grpc::StatusCode::INVALID_ARGUMENT, "item number"};
    auto* s = out->mutable_scores();
    s->Clear();
    s->Reserve(int(n));
    float* scores = s->AddNAlreadyReserved(int(n));
    alignas(64) float part[H1];
    mlp_.UserPart(user, part);
    if (hand_) Hand(part, numbers, int64_t(n), scores);
    else Onnx(part, numbers, int64_t(n), scores);
    return Status::OK;
  }

 private:
  void ItemVector(const int64_t* features, float* v) const {
    __m512 acc[8];
    for (auto& x : acc) x = _mm512_setzero_ps();
    for (int f = 0; f < kItemFields; ++f)
      for (int d = 0; d < HandMlp::D; ++d) {
        const __m512 x = _mm512_set1_ps(mlp_.ti.p[features[f] * HandMlp::D + d]);
        for (int j = 0; j < 8; ++j) acc[j] = _mm512_fmadd_ps(x, _mm512_load_ps(mlp_.wi.p + (f * HandMlp::D + d) * H1 + 16 * j), acc[j]);
      }
    for (int j = 0; j < 8; ++j) _mm512_store_ps(v + 16 * j, acc[j]);
  }

  void Prefetch(int64_t number) const {
    for (int j = 0; j < 8; ++j) _mm_prefetch(reinterpret_cast<const char*>(vectors_.p + number * H1 + 16 * j), _MM_HINT_T0);
  }

  void Onnx(float* part, const int64_t* numbers, int64_t n, float* scores) const {
    static thread_local std::unique_ptr<Aligned<float>> rows;
    if (!rows || rows->n < size_t(n) * H1) rows = std::make_unique<Aligned<float>>(size_t(n) * H1);
    for (int64_t i = 0; i < n; ++i) {
      if (i + 4 < n) Prefetch(numbers[i + 4]);
      for (int j = 0; j < 8; ++j) _mm512_store_ps(rows->p + i * H1 + 16 * j, _mm512_load_ps(vectors_.p + numbers[i] * H1 + 16 * j));
    }
    const int64_t us[2] = {1, H1}, is[2] = {n, H1}, os[1] = {n};
    Ort::Value in[2] = {Ort::Value::CreateTensor<float>(mem_, part, H1, us, 2), Ort::Value::CreateTensor<float>(mem_, rows->p, size_t(n) * H1, is, 2)};
    Ort::Value out[1] = {Ort::Value::CreateTensor<float>(mem_, scores, size_t(n), os, 1)};
    static const char* const names[2] = {"user_part", "item_vector"};
    static const char* const result[1] = {"scores"};
    session_->Run(Ort::RunOptions{nullptr}, names, in, 2, result, out, 1);
  }

  void Hand(const float* part, const int64_t* numbers, int64_t n, float* scores) const {
    constexpr int kRows = 48, kTile = 12;
    alignas(64) float h1[kRows * H1], h2[kRows * H2], logits[kRows];
    const __m512 zero = _mm512_setzero_ps();
    __m512 user[8];
    for (int j = 0; j < 8; ++j) user[j] = _mm512_load_ps(part + 16 * j);
    for (int64_t first = 0; first < n; first += kRows) {
      const int rows = int(std::min<int64_t>(kRows, n - first)), tiles = (rows + kTile - 1) / kTile;
      for (int r = 0; r < rows; ++r) {
        if (first + r + kRows < n) Prefetch(numbers[first + r + kRows]);
        const float* v = vectors_.p + numbers[first + r] * H1;
        for (int j = 0; j < 8; ++j) _mm512_store_ps(h1 + r * H1 + 16 * j, _mm512_max_ps(zero, _mm512_add_ps(user[j], _mm512_load_ps(v + 16 * j))));
      }
      if (rows < tiles * kTile) memset(h1 + rows * H1, 0, sizeof(float) * size_t(tiles * kTile - rows) * H1);
      for (int p = 0; p < H2 / 32; ++p)
        for (int t = 0; t < tiles; ++t) Tile(h1 + t * kTile * H1, w2_.p + p * H1 * 32, mlp_.b2.p + p * 32, h2 + t * kTile * H2 + p * 32);
      for (int r = 0; r < rows; ++r) {
        __m512 sum = zero;
        for (int j = 0; j < H2 / 16; ++j) sum = _mm512_fmadd_ps(_mm512_load_ps(mlp_.w3.p + 16 * j), _mm512_load_ps(h2 + r * H2 + 16 * j), sum);
        logits[r] = _mm512_reduce_add_ps(sum) + mlp_.b3.p[0];
      }
      for (int r = 0; r < rows; ++r) scores[first + r] = 1.f / (1.f + std::exp(-logits[r]));
    }
  }

  // c[12 x 32] = relu(a[12 x 128] . panel + bias)
  static void Tile(const float* a, const float* panel, const float* bias, float* c) {
    __m512 acc[12][2];
#pragma GCC unroll 12
    for (int r = 0; r < 12; ++r) acc[r][0] = _mm512_load_ps(bias), acc[r][1] = _mm512_load_ps(bias + 16);
    for (int k = 0; k < H1; ++k) {
      const __m512 b0 = _mm512_load_ps(panel + k * 32), b1 = _mm512_load_ps(panel + k * 32 + 16);
#pragma GCC unroll 12
      for (int r = 0; r < 12; ++r) {
        const __m512 x = _mm512_set1_ps(a[r * H1 + k]);
        acc[r][0] = _mm512_fmadd_ps(x, b0, acc[r][0]);
        acc[r][1] = _mm512_fmadd_ps(x, b1, acc[r][1]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < 12; ++r) {
      _mm512_store_ps(c + r * H2, _mm512_max_ps(acc[r][0], _mm512_setzero_ps()));
      _mm512_store_ps(c + r * H2 + 16, _mm512_max_ps(acc[r][1], _mm512_setzero_ps()));
    }
  }

  HandMlp mlp_;
  int64_t items_;
  bool hand_;
  Aligned<float> vectors_, w2_;
  Ort::Env env_{ORT_LOGGING_LEVEL_ERROR, "catalog"};
  Ort::MemoryInfo mem_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::unique_ptr<Ort::Session> session_;
};

struct Call {
  virtual ~Call() = default;
  virtual void Proceed(bool ok) = 0;
};

template <class Request, auto Method>
class UnaryCall final : public Call {
 public:
  UnaryCall(Ranker::AsyncService* s, grpc::ServerCompletionQueue* cq, const Catalog* c) : service_(s), cq_(cq), catalog_(c) { Arm(); }
  void Proceed(bool ok) override {
    if (finishing_) return Arm();
    if (!ok) return;  // shutting down
    finishing_ = true;
    const auto [user, nu, items, ni] = Ids(request_);
    if (const Status st = catalog_->Score(user, nu, items, ni, &response_); st.ok()) writer_->Finish(response_, st, this);
    else writer_->FinishWithError(st, this);
  }

 private:
  struct View {
    const int64_t* user;
    size_t nu;
    const int64_t* items;
    size_t ni;
  };
  static View Ids(const RankRequest& r) { return {r.user_ids().data(), size_t(r.user_ids_size()), r.item_ids().data(), size_t(r.item_ids_size())}; }
  static View Ids(const RankRawRequest& r) {
    return {reinterpret_cast<const int64_t*>(r.user_ids().data()), r.user_ids().size() / 8,
            reinterpret_cast<const int64_t*>(r.item_ids().data()), r.item_ids().size() / 8};
  }
  void Arm() {
    finishing_ = false;
    writer_.reset();
    context_.emplace();
    writer_.emplace(&*context_);
    (service_->*Method)(&*context_, &request_, &*writer_, cq_, cq_, this);
  }
  Ranker::AsyncService* service_;
  grpc::ServerCompletionQueue* cq_;
  const Catalog* catalog_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<RankResponse>> writer_;
  Request request_;
  RankResponse response_;
  bool finishing_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Args a(argc, argv);
  sigset_t signals;
  sigemptyset(&signals), sigaddset(&signals, SIGTERM), sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const Catalog catalog(a);

  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + a.Str("port", "50051"), grpc::InsecureServerCredentials());
  builder.AddChannelArgument("grpc.http2.lookahead_bytes", 4 << 20);
  builder.AddChannelArgument("grpc.http2.max_frame_size", 1 << 20);
  builder.AddChannelArgument("grpc.optimization_target", "latency");
  Ranker::AsyncService service;
  builder.RegisterService(&service);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  for (int i = 0; i < a.Int("cqs", 2); ++i) queues.push_back(builder.AddCompletionQueue());
  auto server = builder.BuildAndStart();
  if (!server) return 1;
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<std::thread> threads;
  for (auto& q : queues) {
    for (int i = 0; i < a.Int("slots", 64); ++i) {
      calls.push_back(std::make_unique<UnaryCall<RankRequest, &Ranker::AsyncService::RequestRank>>(&service, q.get(), &catalog));
      calls.push_back(std::make_unique<UnaryCall<RankRawRequest, &Ranker::AsyncService::RequestRankRaw>>(&service, q.get(), &catalog));
    }
    threads.emplace_back([q = q.get()] {
      void* tag;
      for (bool ok; q->Next(&tag, &ok);) static_cast<Call*>(tag)->Proceed(ok);
    });
  }
  fprintf(stderr, "listening\n");
  int signal;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  for (auto& q : queues) q->Shutdown();
  for (auto& t : threads) t.join();
}
