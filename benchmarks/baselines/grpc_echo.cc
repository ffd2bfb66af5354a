// Echoes the bytes of one unary method over gRPC, asynchronously, on one thread: the least work of any server of such a call.
//
// Usage: grpc_echo PORT. Compile: g++ -O2 grpc_echo.cc $(pkg-config --cflags --libs grpc++)
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

using grpc::ByteBuffer;
using grpc::ServerCompletionQueue;

// What protoc generates for an asynchronous method whose messages stay bytes.
class Echo : public grpc::Service {
 public:
  Echo() {
    AddMethod(new grpc::internal::RpcServiceMethod("/iris.v1.IrisService/Predict", grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodRaw(0);
  }

  void Request(grpc::ServerContext* context, ByteBuffer* request, grpc::ServerAsyncResponseWriter<ByteBuffer>* writer,
               ServerCompletionQueue* queue, void* tag) {
    RequestAsyncUnary(0, context, request, writer, queue, queue, tag);
  }
};

// One call at a time: waits for a request, answers it, and makes room for the next.
class Call {
 public:
  Call(Echo* echo, ServerCompletionQueue* queue) : echo_(echo), queue_(queue), writer_(&context_) {
    echo_->Request(&context_, &request_, &writer_, queue_, this);
  }

  void Proceed(bool ok) {
    if (answered_ || !ok) {
      delete this;
      return;
    }
    answered_ = true;
    new Call(echo_, queue_);
    writer_.Finish(request_, grpc::Status::OK, this);
  }

 private:
  Echo* echo_;
  ServerCompletionQueue* queue_;
  grpc::ServerContext context_;
  ByteBuffer request_;
  grpc::ServerAsyncResponseWriter<ByteBuffer> writer_;
  bool answered_ = false;
};

int main(int, char** argv) {
  Echo echo;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::string(argv[1]), grpc::InsecureServerCredentials());
  builder.RegisterService(&echo);
  std::unique_ptr<ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  for (int waiting = 0; waiting < 64; ++waiting) new Call(&echo, queue.get());
  void* tag;
  bool ok;
  while (queue->Next(&tag, &ok)) static_cast<Call*>(tag)->Proceed(ok);
}
