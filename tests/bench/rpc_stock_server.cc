// SPDX-License-Identifier: Apache-2.0
//
// Echo's Unary and Generate on stock grpc++, by its asynchronous API with one
// completion queue: what rpc-echo-server is measured against.
//
//     rpc-bench-stock-server CERTIFICATE_FILE KEY_FILE
//
// Says `listening on ADDR:PORT` when ready.
#include "echo.grpc.pb.h"
#include "stock_call.h"

#include <cstdio>

using outpost::interop::v1::Echo;
using outpost::interop::v1::EchoRequest;
using outpost::interop::v1::EchoResponse;
using outpost::interop::v1::GenerateRequest;

namespace
{

Echo::AsyncService service;
grpc::ServerCompletionQueue *queue;

// One call; it is its own tag.
class Call
{
  public:
    virtual ~Call() = default;
    virtual void Proceed(bool good) = 0;
};

class Unary final : public Call
{
  public:
    Unary() : responder_(&context_)
    {
        service.RequestUnary(&context_, &request_, &responder_, queue, queue, this);
    }

    void Proceed(bool good) override
    {
        if (finished_ || !good) {
            delete this;
            return;
        }
        new Unary();
        EchoResponse response;
        response.set_payload(request_.payload());
        response.set_sequence(request_.sequence());
        finished_ = true;
        responder_.Finish(response, grpc::Status::OK, this);
    }

  private:
    grpc::ServerContext context_;
    EchoRequest request_;
    grpc::ServerAsyncResponseWriter<EchoResponse> responder_;
    bool finished_ = false;
};

class Generate final : public Call
{
  public:
    Generate() : writer_(&context_)
    {
        service.RequestGenerate(&context_, &request_, &writer_, queue, queue, this);
    }

    void Proceed(bool good) override
    {
        if (finished_ || !good) {
            delete this;
            return;
        }
        if (sent_ == 0) {
            new Generate();
            response_.set_payload(std::string(request_.bytes(), '\0'));
        }
        if (sent_ == request_.count()) {
            finished_ = true;
            writer_.Finish(grpc::Status::OK, this);
            return;
        }
        grpc::WriteOptions options;
        options.set_buffer_hint();
        response_.set_sequence(sent_++);
        writer_.Write(response_, options, this);
    }

  private:
    grpc::ServerContext context_;
    GenerateRequest request_;
    EchoResponse response_;
    grpc::ServerAsyncWriter<EchoResponse> writer_;
    uint32_t sent_ = 0;
    bool finished_ = false;
};

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({read_file(argv[2]), read_file(argv[1])});
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::ServerCompletionQueue> own_queue = builder.AddCompletionQueue();
    queue = own_queue.get();
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
        return 1;
    std::printf("listening on 127.0.0.1:%d\n", port);
    std::fflush(stdout);
    for (int i = 0; i < 200; i++)
        new Unary();
    new Generate();
    void *tag;
    bool good;
    while (queue->Next(&tag, &good))
        static_cast<Call *>(tag)->Proceed(good);
}
