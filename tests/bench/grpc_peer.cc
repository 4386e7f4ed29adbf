// grpc_peer - the same Handshake on grpc's own C++ server: asynchronous API,
// one completion queue, one thread of ours.
//
//   grpc_peer [CERT KEY]	prints "port N" and serves until it is killed

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include <grpcpp/grpcpp.h>

#include "system.grpc.pb.h"

namespace {

using k8shelld::HandshakeRequest;
using k8shelld::HandshakeResponse;
using Service = k8shelld::SystemService::AsyncService;

// More than the calls a benchmark keeps in flight, so none has to wait.
constexpr int kWaiting = 1024;

class Call {
public:
	Call(Service *service, grpc::ServerCompletionQueue *queue)
	    : service_(service), queue_(queue)
	{
		Wait();
	}

	// One event of this call: a request came in, or its answer is out.
	void Proceed(bool ok)
	{
		if (!ok || answered_) {
			if (answered_)
				new Call(service_, queue_);
			delete this;
			return;
		}
		HandshakeResponse response;
		response.set_server_version("0.1.0-0000000");
		response.set_accepted(true);
		answered_ = true;
		responder_.Finish(response, grpc::Status::OK, this);
	}

private:
	void Wait()
	{
		service_->RequestHandshake(&context_, &request_, &responder_,
		    queue_, queue_, this);
	}

	Service *service_;
	grpc::ServerCompletionQueue *queue_;
	grpc::ServerContext context_;
	HandshakeRequest request_;
	grpc::ServerAsyncResponseWriter<HandshakeResponse> responder_{
	    &context_};
	bool answered_ = false;
};

std::string
Content(const char *path)
{
	std::ifstream file(path);
	std::stringstream text;

	text << file.rdbuf();
	return text.str();
}

std::shared_ptr<grpc::ServerCredentials>
Credentials(int argc, char **argv)
{
	if (argc < 3)
		return grpc::InsecureServerCredentials();
	grpc::SslServerCredentialsOptions options;
	options.pem_key_cert_pairs.push_back(
	    {Content(argv[2]), Content(argv[1])});
	return grpc::SslServerCredentials(options);
}

} // namespace

int
main(int argc, char **argv)
{
	Service service;
	grpc::ServerBuilder builder;
	int port = 0;

	builder.AddListeningPort("127.0.0.1:0", Credentials(argc, argv), &port);
	builder.RegisterService(&service);
	auto queue = builder.AddCompletionQueue();
	auto server = builder.BuildAndStart();
	if (!server || port == 0) {
		std::fprintf(stderr, "grpc_peer: cannot listen\n");
		return 1;
	}
	std::printf("port %d\n", port);
	std::fflush(stdout);
	for (int i = 0; i < kWaiting; i++)
		new Call(&service, queue.get());

	void *tag;
	bool ok;
	while (queue->Next(&tag, &ok))
		static_cast<Call *>(tag)->Proceed(ok);
	return 0;
}
