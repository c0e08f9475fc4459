// SPDX-License-Identifier: Apache-2.0
//
// grpc.testing.TestService on stock grpc++: the peer of rpc-interop-client.
// Says `listening on ADDR:PORT` when ready.
#include "grpc/testing/test.grpc.pb.h"
#include "stock_call.h"

#include <chrono>
#include <cstdio>
#include <thread>

using namespace grpc::testing;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

namespace
{

void EchoMetadata(ServerContext *context)
{
    const auto &metadata = context->client_metadata();
    auto initial = metadata.find("x-grpc-test-echo-initial");
    auto trailing = metadata.find("x-grpc-test-echo-trailing-bin");
    if (initial != metadata.end())
        context->AddInitialMetadata("x-grpc-test-echo-initial",
                                    std::string(initial->second.data(), initial->second.size()));
    if (trailing != metadata.end())
        context->AddTrailingMetadata("x-grpc-test-echo-trailing-bin",
                                     std::string(trailing->second.data(), trailing->second.size()));
}

template <typename Message>
bool CameAsExpected(const ServerContext &context, const Message &message)
{
    return !message.has_expect_compressed() ||
           message.expect_compressed().value() ==
               InteropServerContextInspector::Compressed(context);
}

Status Unexpected()
{
    return Status(StatusCode::INVALID_ARGUMENT, "not compressed as the message says");
}

Status Wanted(const EchoStatus &status)
{
    return Status(static_cast<StatusCode>(status.code()), status.message());
}

class Service final : public TestService::Service
{
    Status EmptyCall(ServerContext *, const Empty *, Empty *) override
    {
        return Status::OK;
    }

    Status UnaryCall(ServerContext *context, const SimpleRequest *request,
                     SimpleResponse *response) override
    {
        EchoMetadata(context);
        if (!CameAsExpected(*context, *request))
            return Unexpected();
        if (request->has_response_status() && request->response_status().code() != 0)
            return Wanted(request->response_status());
        if (request->response_compressed().value())
            context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        if (request->response_size() > 0)
            response->mutable_payload()->set_body(
                std::string(static_cast<size_t>(request->response_size()), '\0'));
        return Status::OK;
    }

    template <typename Writer>
    static void Write(const StreamingOutputCallRequest &request, Writer *writer)
    {
        for (const auto &wanted : request.response_parameters()) {
            StreamingOutputCallResponse response;
            grpc::WriteOptions options;
            std::this_thread::sleep_for(std::chrono::microseconds(wanted.interval_us()));
            response.mutable_payload()->set_body(
                std::string(static_cast<size_t>(wanted.size()), '\0'));
            if (!wanted.compressed().value())
                options.set_no_compression();
            writer->Write(response, options);
        }
    }

    Status StreamingOutputCall(ServerContext *context, const StreamingOutputCallRequest *request,
                               grpc::ServerWriter<StreamingOutputCallResponse> *writer) override
    {
        for (const auto &wanted : request->response_parameters())
            if (wanted.compressed().value())
                context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        Write(*request, writer);
        return Status::OK;
    }

    Status StreamingInputCall(ServerContext *context,
                              grpc::ServerReader<StreamingInputCallRequest> *reader,
                              StreamingInputCallResponse *response) override
    {
        StreamingInputCallRequest request;
        size_t bytes = 0;
        while (reader->Read(&request)) {
            if (!CameAsExpected(*context, request))
                return Unexpected();
            bytes += request.payload().body().size();
        }
        response->set_aggregated_payload_size(static_cast<int>(bytes));
        return Status::OK;
    }

    Status FullDuplexCall(ServerContext *context,
                          grpc::ServerReaderWriter<StreamingOutputCallResponse,
                                                   StreamingOutputCallRequest> *stream) override
    {
        StreamingOutputCallRequest request;
        EchoMetadata(context);
        while (stream->Read(&request)) {
            if (request.has_response_status() && request.response_status().code() != 0)
                return Wanted(request.response_status());
            Write(request, stream);
        }
        return Status::OK;
    }
};

} // namespace

int main(int argc, char **argv)
{
    auto flags = read_flags(argc, argv);
    auto credentials = grpc::InsecureServerCredentials();
    Service service;
    int port = 0;

    if (flags["use_tls"] == "true") {
        grpc::SslServerCredentialsOptions options;
        options.pem_key_cert_pairs.push_back(
            {read_file(flags["tls_key_file"]), read_file(flags["tls_cert_file"])});
        credentials = grpc::SslServerCredentials(options);
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + flags["port"], credentials, &port);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
        return 1;
    std::printf("listening on 127.0.0.1:%d\n", port);
    std::fflush(stdout);
    server->Wait();
}
