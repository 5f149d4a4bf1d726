// A gRPC peer in C++ for the interoperability tests: a server, or a client that runs the official cases.
//
//   interop server <certificate.pem> <key.pem>   prints "port <plain> <tls>", serves until its standard input closes
//   interop client <address> [<roots.pem>]       prints "<case> ok" or "<case> failed: <why>" for every case
//   interop load <address> <calls> <bytes>       makes unary calls with a payload of that size, one after the other

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test.grpc.pb.h"

namespace {

using namespace grpc::testing;
using grpc::ClientContext;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

const char kEchoInitial[] = "x-grpc-test-echo-initial";
const char kEchoTrailing[] = "x-grpc-test-echo-trailing-bin";

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Service final : public TestService::Service {
  Status EmptyCall(ServerContext*, const Empty*, Empty*) override { return Status::OK; }

  Status UnaryCall(ServerContext* context, const SimpleRequest* request, SimpleResponse* response) override {
    EchoMetadata(context);
    if (request->response_compressed().value()) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    if (request->response_status().code() != 0) return Asked(request->response_status());
    response->mutable_payload()->set_body(std::string(request->response_size(), '\0'));
    return Status::OK;
  }

  Status StreamingInputCall(
      ServerContext*, grpc::ServerReader<StreamingInputCallRequest>* reader, StreamingInputCallResponse* response) override {
    StreamingInputCallRequest request;
    int size = 0;
    while (reader->Read(&request)) size += static_cast<int>(request.payload().body().size());
    response->set_aggregated_payload_size(size);
    return Status::OK;
  }

  Status StreamingOutputCall(
      ServerContext*, const StreamingOutputCallRequest* request,
      grpc::ServerWriter<StreamingOutputCallResponse>* writer) override {
    return Respond(*request, writer);
  }

  Status FullDuplexCall(
      ServerContext* context,
      grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest>* stream) override {
    EchoMetadata(context);
    StreamingOutputCallRequest request;
    while (stream->Read(&request)) {
      const Status status = Respond(request, stream);
      if (!status.ok()) return status;
    }
    return Status::OK;
  }

  static Status Asked(const EchoStatus& status) {
    return Status(static_cast<StatusCode>(status.code()), status.message());
  }

  template <typename Writer>
  static Status Respond(const StreamingOutputCallRequest& request, Writer* writer) {
    if (request.response_status().code() != 0) return Asked(request.response_status());
    for (const auto& parameters : request.response_parameters()) {
      std::this_thread::sleep_for(std::chrono::microseconds(parameters.interval_us()));
      StreamingOutputCallResponse response;
      response.mutable_payload()->set_body(std::string(parameters.size(), '\0'));
      if (!writer->Write(response)) return Status(StatusCode::CANCELLED, "");
    }
    return Status::OK;
  }

  static void EchoMetadata(ServerContext* context) {
    for (const auto& entry : context->client_metadata()) {
      const std::string value(entry.second.data(), entry.second.size());
      if (entry.first == kEchoInitial) context->AddInitialMetadata(kEchoInitial, value);
      if (entry.first == kEchoTrailing) context->AddTrailingMetadata(kEchoTrailing, value);
    }
  }
};

void Require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

void RequireStatus(const Status& status, StatusCode code, const std::string& message = "") {
  Require(status.error_code() == code,
      "status " + std::to_string(status.error_code()) + ", wanted " + std::to_string(code) + ": " + status.error_message());
  if (!message.empty()) Require(status.error_message() == message, "message '" + status.error_message() + "'");
}

class Client {
 public:
  explicit Client(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(TestService::NewStub(channel)), unimplemented_(UnimplementedService::NewStub(channel)) {}

  int RunAll() {
    const std::vector<std::pair<std::string, std::function<void()>>> cases = {
        {"empty_unary", [this] { EmptyUnary(); }},
        {"large_unary", [this] { LargeUnary(false, false); }},
        {"client_compressed_unary", [this] { LargeUnary(true, false); }},
        {"server_compressed_unary", [this] { LargeUnary(false, true); }},
        {"client_streaming", [this] { ClientStreaming(); }},
        {"server_streaming", [this] { ServerStreaming(); }},
        {"ping_pong", [this] { PingPong(); }},
        {"empty_stream", [this] { EmptyStream(); }},
        {"cancel_after_begin", [this] { CancelAfterBegin(); }},
        {"cancel_after_first_response", [this] { CancelAfterFirstResponse(); }},
        {"timeout_on_sleeping_server", [this] { TimeoutOnSleepingServer(); }},
        {"custom_metadata", [this] { CustomMetadata(); }},
        {"status_code_and_message", [this] { StatusCodeAndMessage("test status message"); }},
        {"special_status_message",
         [this] { StatusCodeAndMessage(u8"\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \U0001F608\t\n"); }},
        {"unimplemented_method", [this] { UnimplementedMethod(); }},
        {"unimplemented_service", [this] { UnimplementedServiceCase(); }},
    };
    for (const auto& [name, run] : cases) {
      try {
        run();
        std::cout << name << " ok" << std::endl;
      } catch (const std::exception& failure) {
        std::cout << name << " failed: " << failure.what() << std::endl;
      }
    }
    return 0;
  }

 private:
  static std::unique_ptr<ClientContext> Context(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    auto context = std::make_unique<ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + timeout);
    return context;
  }

  void EmptyUnary() {
    Empty request, response;
    RequireStatus(stub_->EmptyCall(Context().get(), request, &response), StatusCode::OK);
  }

  void LargeUnary(bool compress, bool ask_for_compression) {
    SimpleRequest request;
    SimpleResponse response;
    request.set_response_size(314159);
    request.mutable_payload()->set_body(std::string(271828, '\0'));
    if (ask_for_compression) request.mutable_response_compressed()->set_value(true);
    auto context = Context();
    if (compress) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    RequireStatus(stub_->UnaryCall(context.get(), request, &response), StatusCode::OK);
    Require(response.payload().body() == std::string(314159, '\0'), "payload");
  }

  void ClientStreaming() {
    StreamingInputCallResponse response;
    auto context = Context();
    auto writer = stub_->StreamingInputCall(context.get(), &response);
    for (const int size : {27182, 8, 1828, 45904}) {
      StreamingInputCallRequest request;
      request.mutable_payload()->set_body(std::string(size, '\0'));
      Require(writer->Write(request), "write");
    }
    writer->WritesDone();
    RequireStatus(writer->Finish(), StatusCode::OK);
    Require(response.aggregated_payload_size() == 74922, "size " + std::to_string(response.aggregated_payload_size()));
  }

  void ServerStreaming() {
    StreamingOutputCallRequest request;
    const std::vector<int> sizes = {31415, 9, 2653, 58979};
    for (const int size : sizes) request.add_response_parameters()->set_size(size);
    auto context = Context();
    auto reader = stub_->StreamingOutputCall(context.get(), request);
    StreamingOutputCallResponse response;
    for (const int size : sizes) {
      Require(reader->Read(&response), "read");
      Require(response.payload().body().size() == static_cast<size_t>(size), "size");
    }
    Require(!reader->Read(&response), "end");
    RequireStatus(reader->Finish(), StatusCode::OK);
  }

  void PingPong() {
    auto context = Context();
    auto stream = stub_->FullDuplexCall(context.get());
    const std::vector<std::pair<int, int>> sizes = {{27182, 31415}, {8, 9}, {1828, 2653}, {45904, 58979}};
    for (const auto& [sent, wanted] : sizes) {
      StreamingOutputCallResponse response;
      Require(stream->Write(Ask(sent, wanted)), "write");
      Require(stream->Read(&response), "read");
      Require(response.payload().body().size() == static_cast<size_t>(wanted), "size");
    }
    stream->WritesDone();
    StreamingOutputCallResponse response;
    Require(!stream->Read(&response), "end");
    RequireStatus(stream->Finish(), StatusCode::OK);
  }

  void EmptyStream() {
    auto context = Context();
    auto stream = stub_->FullDuplexCall(context.get());
    stream->WritesDone();
    StreamingOutputCallResponse response;
    Require(!stream->Read(&response), "end");
    RequireStatus(stream->Finish(), StatusCode::OK);
  }

  void CancelAfterBegin() {
    StreamingInputCallResponse response;
    auto context = Context();
    auto writer = stub_->StreamingInputCall(context.get(), &response);
    context->TryCancel();
    RequireStatus(writer->Finish(), StatusCode::CANCELLED);
  }

  void CancelAfterFirstResponse() {
    auto context = Context();
    auto stream = stub_->FullDuplexCall(context.get());
    StreamingOutputCallResponse response;
    Require(stream->Write(Ask(27182, 31415)), "write");
    Require(stream->Read(&response), "read");
    context->TryCancel();
    RequireStatus(stream->Finish(), StatusCode::CANCELLED);
  }

  void TimeoutOnSleepingServer() {
    auto context = Context(std::chrono::milliseconds(20));
    auto stream = stub_->FullDuplexCall(context.get());
    auto request = Ask(27182, 31415);
    request.mutable_response_parameters(0)->set_interval_us(2'000'000);
    stream->Write(request);
    StreamingOutputCallResponse response;
    while (stream->Read(&response)) {
    }
    RequireStatus(stream->Finish(), StatusCode::DEADLINE_EXCEEDED);
  }

  void CustomMetadata() {
    const std::string initial = "test_initial_metadata_value";
    const std::string trailing = "\xab\xab\xab";
    {
      auto context = Context();
      context->AddMetadata(kEchoInitial, initial);
      context->AddMetadata(kEchoTrailing, trailing);
      SimpleRequest request;
      SimpleResponse response;
      RequireStatus(stub_->UnaryCall(context.get(), request, &response), StatusCode::OK);
      RequireEcho(*context, initial, trailing);
    }
    auto context = Context();
    context->AddMetadata(kEchoInitial, initial);
    context->AddMetadata(kEchoTrailing, trailing);
    auto stream = stub_->FullDuplexCall(context.get());
    StreamingOutputCallResponse response;
    Require(stream->Write(Ask(0, 5)), "write");
    Require(stream->Read(&response), "read");
    stream->WritesDone();
    Require(!stream->Read(&response), "end");
    RequireStatus(stream->Finish(), StatusCode::OK);
    RequireEcho(*context, initial, trailing);
  }

  void StatusCodeAndMessage(const std::string& message) {
    SimpleRequest request;
    SimpleResponse response;
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(message);
    RequireStatus(stub_->UnaryCall(Context().get(), request, &response), StatusCode::UNKNOWN, message);

    auto context = Context();
    auto stream = stub_->FullDuplexCall(context.get());
    StreamingOutputCallRequest streamed;
    *streamed.mutable_response_status() = request.response_status();
    Require(stream->Write(streamed), "write");
    stream->WritesDone();
    StreamingOutputCallResponse streamed_response;
    Require(!stream->Read(&streamed_response), "end");
    RequireStatus(stream->Finish(), StatusCode::UNKNOWN, message);
  }

  void UnimplementedMethod() {
    Empty request, response;
    RequireStatus(stub_->UnimplementedCall(Context().get(), request, &response), StatusCode::UNIMPLEMENTED);
  }

  void UnimplementedServiceCase() {
    Empty request, response;
    RequireStatus(unimplemented_->UnimplementedCall(Context().get(), request, &response), StatusCode::UNIMPLEMENTED);
  }

  static StreamingOutputCallRequest Ask(int sent, int wanted) {
    StreamingOutputCallRequest request;
    request.add_response_parameters()->set_size(wanted);
    request.mutable_payload()->set_body(std::string(sent, '\0'));
    return request;
  }

  static void RequireEcho(const ClientContext& context, const std::string& initial, const std::string& trailing) {
    const auto& headers = context.GetServerInitialMetadata();
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto header = headers.find(kEchoInitial);
    const auto trailer = trailers.find(kEchoTrailing);
    Require(header != headers.end() && header->second == initial, "initial metadata");
    Require(trailer != trailers.end() && trailer->second == trailing, "trailing metadata");
  }

  std::unique_ptr<TestService::Stub> stub_;
  std::unique_ptr<UnimplementedService::Stub> unimplemented_;
};

int Serve(const char* certificate, const char* key) {
  Service service;
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({ReadFile(key), ReadFile(certificate)});
  int plain_port = 0;
  int tls_port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &plain_port);
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &tls_port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) return 1;
  std::cout << "port " << plain_port << " " << tls_port << std::endl;
  while (std::cin.get() != EOF) {
  }
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

int Call(const char* address, const char* roots) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (roots != nullptr) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ReadFile(roots);
    credentials = grpc::SslCredentials(tls);
  }
  return Client(grpc::CreateChannel(address, credentials)).RunAll();
}

int Load(const char* address, int calls, int bytes) {
  const auto stub = TestService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  SimpleRequest request;
  request.mutable_payload()->set_body(std::string(bytes, '\0'));
  for (int call = 0; call < calls; ++call) {
    ClientContext context;
    SimpleResponse response;
    const Status status = stub->UnaryCall(&context, request, &response);
    if (!status.ok()) {
      std::cerr << status.error_message() << std::endl;
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "server" && argc == 4) return Serve(argv[2], argv[3]);
  if (mode == "client" && argc >= 3) return Call(argv[2], argc > 3 ? argv[3] : nullptr);
  if (mode == "load" && argc == 5) return Load(argv[2], std::stoi(argv[3]), std::stoi(argv[4]));
  std::cerr << "usage: interop server <certificate.pem> <key.pem> | client <address> [<roots.pem>] | load <address> <calls> <bytes>\n";
  return 2;
}
